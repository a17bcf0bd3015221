"""From a file to a decoded image: regular files, named formats, stated sizes, one page; nothing else."""

from __future__ import annotations

import os
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from pcedge.errors import ImageError, PcedgeError

from .formats import FORMATS, HEIF_FORMAT, HEIF_SUFFIXES
from .limits import ImageLimits

# A page of a TIFF is not one of these: a smaller copy of another (bit 0), a transparency mask (bit 2).
_SUBFILE_TYPE, _NOT_A_PAGE = 254, 0b101
_MOST_THUMBNAILS = 16
_ORIENTATION, _SIDEWAYS = 0x112, 5
# Further images in a photograph of a phone are previews and depth maps.
_FIRST_COUNTS = frozenset({"MPO"})
_header_lock = threading.Lock()


def decode(path: Path) -> Image.Image:
    """Decode the whole file and apply its EXIF orientation.

    Raises:
        ImageError: It is missing, not a regular file, of another format, too large, has several pages, or is
            damaged.
    """
    try:
        with _regular_file(path) as file, _open(file, path) as image:
            ImageLimits.from_environment().check(str(path), *image.size)
            _check_pages(image, path)
            image.load()
            upright = image
            if image.mode == "I" and image.format in ("PNG", "PPM"):
                upright = image.convert("I;16")  # what Pillow holds in 32 bits has 16 in these formats
            ImageOps.exif_transpose(upright, in_place=True)
            return upright
    except FileNotFoundError as error:
        raise ImageError(f"{path}: does not exist.") from error
    except UnidentifiedImageError as error:
        raise _unidentified(path) from error
    except PcedgeError:
        raise
    except Exception as error:
        # Pillow does not document what its decoders raise for damaged files: OSError, SyntaxError,
        # ValueError, struct.error, IndexError, zlib.error and others have been observed.
        raise ImageError(f"{path}: cannot be decoded: {reason(error)}.") from error


@dataclass(frozen=True)
class ImageHeader:
    """What the header of an image file says.

    Attributes:
        orientation: How it is turned and mirrored, by EXIF: 1 for as it is stored, up to 8.
        shape_hw: Height and width when it is upright; None where the file cannot be read.
    """

    orientation: int = 1
    shape_hw: tuple[int, int] | None = None


def image_header(path: Path) -> ImageHeader:
    """Read the header of an image file; of one that cannot be read nothing is known."""
    try:
        with _regular_file(path) as file, _open(file, path) as image:
            found, (width, height) = image.getexif().get(_ORIENTATION, 1), image.size
    except Exception:  # as above: what Pillow raises for damaged files is not documented
        return ImageHeader()
    orientation = found if isinstance(found, int) and 1 <= found <= 8 else 1
    return ImageHeader(orientation, (width, height) if orientation >= _SIDEWAYS else (height, width))


def reason(error: Exception) -> str:
    """An error of Pillow or the system in words, without the full stop."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return text.rstrip(".") or type(error).__name__


@contextmanager
def _regular_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that is one: reading a pipe waits for ever, and opening a device may do anything."""
    _check_regular(path, path.stat().st_mode)
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    with os.fdopen(descriptor, "rb") as file:
        _check_regular(path, os.fstat(descriptor).st_mode)  # it may have been exchanged since
        yield file


def _check_regular(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
        raise ImageError(f"{path}: is {kind}, not an image file.", "Give a file.")


def _open(file: IO[bytes], path: Path) -> Image.Image:
    """Read the header."""
    formats = _formats(path)
    # Pillow's own limit is one number of the whole process, and so are the filters of warnings.
    with _header_lock, warnings.catch_warnings():
        warnings.simplefilter("error")
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(file, formats=formats)
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _formats(path: Path) -> list[str]:
    Image.init()  # an older Pillow lacks AVIF, and does not say so in words
    if path.suffix.lower() in HEIF_SUFFIXES and _register_heif():
        return [HEIF_FORMAT, *FORMATS]
    return [name for name in FORMATS if name in Image.OPEN]


def _register_heif() -> bool:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def _check_pages(image: Image.Image, path: Path) -> None:
    """Refuse a file of several pages: what was not looked at must not pass as OK."""
    if image.format in _FIRST_COUNTS or not hasattr(image, "n_frames"):
        return
    for number in range(1, _MOST_THUMBNAILS):
        try:
            image.seek(number)
        except EOFError:
            break
        if _is_page(image):
            raise ImageError(
                f"{path}: has several pages or frames, and only one image can be judged.",
                "Save each page as a file of its own.",
            )
    image.seek(0)


def _is_page(image: Image.Image) -> bool:
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return True
    kind = image.tag_v2.get(_SUBFILE_TYPE, 0)
    return not (isinstance(kind, int) and kind & _NOT_A_PAGE)


def _unidentified(path: Path) -> ImageError:
    if path.stat().st_size == 0:
        return ImageError(f"{path}: is empty (0 bytes).")
    if path.suffix.lower() in HEIF_SUFFIXES:
        return ImageError(
            f"{path}: is HEIC, for which no decoder is installed, or is damaged.",
            "pip install pillow-heif, or save it as PNG.",
        )
    return ImageError(
        f"{path}: is not an image, or is damaged.", f"Formats that are read: {', '.join(FORMATS)}."
    )
