"""Reading and writing of image files: one decoder for the whole project, and atomic writes.

Everything that learns from, measures or judges an image file reads it here, so that the pixels are the same
everywhere.
"""

from __future__ import annotations

import os
import re
import threading
import warnings
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from pcedge.errors import ImageError, OutputError

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})

_SAVE_OPTIONS: dict[str, dict[str, int]] = {
    ".jpg": {"quality": 92, "subsampling": 0},
    ".jpeg": {"quality": 92, "subsampling": 0},
    # Level 1 is several times faster than the default and hardly larger on camera images.
    ".png": {"compress_level": 1},
}
_WIDE_MODES = {"I", "F"}
_header_lock = threading.Lock()
_temporary_number = count()


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read an image file as uint8 [height, width, 3], RGB, upright.

    The EXIF orientation is applied. Grey, palette, CMYK and other colour modes become RGB; an alpha
    channel is dropped and the colours stay as stored. 16-bit grey keeps its upper 8 bits over the
    full 16-bit range, without stretching, so that brightness means the same in every file. If a file
    has several images, the first is read.

    Raises:
        ImageError: The file is missing, empty, truncated, corrupt, too large, not an image, or
            has 32-bit pixels, whose range is not known.
    """
    path = Path(path)
    image = _decode(path)
    if image.mode.startswith("I;16"):
        grey = (np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode in _WIDE_MODES:
        raise ImageError(
            f"{path}: has 32-bit pixels (mode {image.mode}), whose range is not known.",
            "Save it with 8 or 16 bits per channel.",
        )
    return _rgb(image, path)


def read_mask(path: str | Path) -> NDArray[np.uint8]:
    """Read a ground-truth mask as uint8 [height, width]: 255 for defect, 0 for none.

    Grey values in between, as at the soft edge of a mask, stay as they are. In a mask that never reaches 255
    (for example with labels 0 and 1), every pixel that is not black counts as a defect.

    Raises:
        ImageError: As :func:`read_image`, except that pixels of any depth are accepted.
    """
    path = Path(path)
    image = _decode(path)
    deep = image.mode.startswith("I;16") or image.mode in _WIDE_MODES
    grey = np.asarray(image) if deep else _rgb(image, path).max(axis=2)
    if not deep and grey.max() == 255:
        return np.asarray(grey, np.uint8)
    return np.where(grey > 0, np.uint8(255), np.uint8(0))


def list_images(folder: str | Path) -> list[Path]:
    """List the image files directly in ``folder``, ordered by :func:`natural_key`, without hidden files.

    Raises:
        ImageError: ``folder`` is not a folder that can be read.
    """
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.is_file()]
    except OSError as error:
        raise ImageError(f"{folder}: cannot be listed: {_reason(error)}.") from error
    return [Path(folder, name) for name in sorted(filter(is_image_name, names), key=natural_key)]


def is_image_name(name: str) -> bool:
    """Whether ``name`` is the name of a complete image: a known suffix, not hidden, not temporary."""
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    unfinished = name.startswith(".") or ".tmp" in suffixes or ".part" in suffixes
    return bool(suffixes) and suffixes[-1] in IMAGE_SUFFIXES and not unfinished


def natural_key(name: str) -> tuple[list[tuple[str, int]], str]:
    """Natural sort key: ``2.png`` comes before ``10.png``."""
    pairs = re.findall(r"(\D*)(\d*)", name.lower())
    return [(text, int(digits or -1)) for text, digits in pairs], name


def write_image(path: str | Path, image_rgb: NDArray[np.uint8]) -> None:
    """Write uint8 [height, width, 3] RGB as JPEG (quality 92) or PNG, depending on the suffix of ``path``.

    The write is atomic: the file is written under a hidden temporary name beside ``path`` and renamed.

    Raises:
        OutputError: The file cannot be written, the suffix is not supported, or the array is not an image.
    """
    path = Path(path)
    options = _SAVE_OPTIONS.get(path.suffix.lower())
    if options is None:
        raise OutputError(f"{path}: this file format cannot be written.", "Use .png or .jpg.")
    if image_rgb.dtype != np.uint8 or image_rgb.ndim != 3 or image_rgb.shape[2] != 3:
        raise OutputError(f"{path}: {image_rgb.dtype} {image_rgb.shape} is not an RGB image.")
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{next(_temporary_number)}.tmp")
    kind = "PNG" if path.suffix.lower() == ".png" else "JPEG"
    try:
        Image.fromarray(np.ascontiguousarray(image_rgb)).save(temporary, kind, **options)
        temporary.replace(path)
    except (OSError, ValueError) as error:
        _discard(temporary)
        raise OutputError(
            f"{path}: cannot be written: {_reason(error)}.",
            "Check that the folder exists and is writable, and that the disk has free space.",
        ) from error


def _decode(path: Path) -> Image.Image:
    """Decode the whole file and apply its EXIF orientation."""
    try:
        with _open(path) as image:
            image.load()
            # Older versions of Pillow open a 16-bit PNG as mode I.
            sixteen_bit = image.mode == "I" and image.format == "PNG"
            return ImageOps.exif_transpose(image.convert("I;16") if sixteen_bit else image)
    except FileNotFoundError as error:
        raise ImageError(f"{path}: does not exist.") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}: {_why_unidentified(path)}.") from error
    except Exception as error:
        # Pillow does not document what its decoders raise for damaged files: OSError, SyntaxError,
        # ValueError, struct.error, IndexError, zlib.error and others have been observed.
        raise ImageError(f"{path}: cannot be decoded: {_reason(error)}.") from error


def _open(path: Path) -> Image.Image:
    """Read the header. An image so large that Pillow warns of a decompression bomb is refused."""
    # Warning filters are global to the process, so two decoding threads must not change them at once.
    with _header_lock, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(path)


def _rgb(image: Image.Image, path: Path) -> NDArray[np.uint8]:
    # Pillow warns about the transparency of some palettes, which is dropped anyway.
    image.info.pop("transparency", None)
    try:
        return np.array(image.convert("RGB"))
    except (OSError, ValueError) as error:
        raise ImageError(
            f"{path}: cannot be converted to RGB from mode {image.mode}.", "Save it as RGB."
        ) from error


def _why_unidentified(path: Path) -> str:
    return "is empty (0 bytes)" if path.stat().st_size == 0 else "is not an image, or is damaged"


def _reason(error: Exception) -> str:
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return text.rstrip(".") or type(error).__name__


def _discard(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # the error that led here is the one to report
