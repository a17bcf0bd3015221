"""Image files as arrays: RGB of 8 bits, and masks."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pcedge.errors import ImageError

from .decoding import decode

_WIDE_MODES = {"I", "F"}
_LOSSY = frozenset({"JPEG", "MPO"})
_LOSSY_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif"})
# Converted so many pixels at a time: a copy of a large image in another mode would take its memory again.
_STRIP_PIXELS = 4_000_000


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read an image file as uint8 [height, width, 3], RGB, upright.

    The EXIF orientation is applied. Grey, palette, CMYK and other colour modes become RGB; an alpha
    channel is dropped and the colours stay as stored. 16-bit grey keeps its upper 8 bits over the
    full 16-bit range, without stretching, so that brightness means the same in every file.

    Raises:
        ImageError: The file is missing, empty, truncated, corrupt, not a regular file, not an image of a
            format in ``FORMATS``, larger than ``ImageLimits`` allow, has several pages, or has 32-bit
            pixels, whose range is not known.
    """
    path = Path(path)
    image = decode(path)
    if image.mode in _WIDE_MODES:
        raise ImageError(
            f"{path}: has 32-bit pixels (mode {image.mode}), whose range is not known.",
            "Save it with 8 or 16 bits per channel.",
        )
    image.info.pop("transparency", None)  # Pillow warns of that of some palettes, which is dropped anyway
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top, strip in _strips(image):
        pixels[top : top + strip.height] = _rgb(strip, path)
    return pixels


def read_mask(path: str | Path) -> NDArray[np.uint8]:
    """Read a ground-truth mask as uint8 [height, width]: 255 for defect, 0 for none.

    Grey values in between, as at the soft edge of a mask, stay as they are. In a mask that never reaches 255
    (for example with labels 0 and 1), every pixel that is not black counts as a defect.

    Raises:
        ImageError: As :func:`read_image`, except that pixels of any depth are accepted.
    """
    path = Path(path)
    image = decode(path)
    image.info.pop("transparency", None)
    deep = image.mode.startswith("I;16") or image.mode in _WIDE_MODES
    grey = np.asarray(image) if deep else _rgb(image, path).max(axis=2)
    if not deep and grey.max() == 255:
        return np.asarray(grey, np.uint8)
    return np.where(grey > 0, np.uint8(255), np.uint8(0))


@dataclass(frozen=True, eq=False)
class RawMask:
    """A mask as it is in its file.

    Attributes:
        levels: uint8 [height, width], the brightest channel; of deeper files 255 for every value but 0.
        alpha: uint8 [height, width], the alpha channel; None where there is none.
        lossy: Whether it was saved in a format that changes values.
    """

    levels: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None = None
    lossy: bool = False


def read_raw_mask(path: str | Path) -> RawMask:
    """Read a mask whose values are still to be understood.

    Raises:
        ImageError: As :func:`read_mask`.
    """
    path = Path(path)
    image = decode(path)
    alpha = np.asarray(image.getchannel("A")) if "A" in image.getbands() else None
    image.info.pop("transparency", None)
    if image.mode.startswith("I;16") or image.mode in _WIDE_MODES:
        return RawMask(np.where(np.asarray(image) > 0, np.uint8(255), np.uint8(0)))
    lossy = image.format in _LOSSY or path.suffix.lower() in _LOSSY_SUFFIXES
    return RawMask(np.ascontiguousarray(_rgb(image, path).max(axis=2)), alpha, lossy)


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The image from top to bottom, each strip with the row that it begins at."""
    rows = max(1, _STRIP_PIXELS // image.width)
    if rows >= image.height:
        yield 0, image
        return
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _rgb(image: Image.Image, path: Path) -> NDArray[np.uint8]:
    """uint8 [height, width, 3], or [height, width, 1] of grey."""
    if image.mode.startswith("I;16"):
        return (np.asarray(image) >> 8).astype(np.uint8)[:, :, None]
    try:
        return np.asarray(image.convert("RGB"))
    except (OSError, ValueError) as error:
        raise ImageError(
            f"{path}: cannot be converted to RGB from mode {image.mode}.", "Save it as RGB."
        ) from error
