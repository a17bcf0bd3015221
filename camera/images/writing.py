"""Writing of image files, atomically."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pcedge.errors import OutputError

from ..util.output_files import create, unfinished_path
from .decoding import reason

_SAVE_OPTIONS: dict[str, dict[str, int]] = {
    ".jpg": {"quality": 92, "subsampling": 0},
    ".jpeg": {"quality": 92, "subsampling": 0},
    # Level 1 is several times faster than the default and hardly larger on camera images.
    ".png": {"compress_level": 1},
}


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
    temporary = unfinished_path(path)
    kind = "PNG" if path.suffix.lower() == ".png" else "JPEG"
    try:
        with create(temporary) as file:
            Image.fromarray(np.ascontiguousarray(image_rgb)).save(file, kind, **options)
        temporary.replace(path)
    except (OSError, ValueError) as error:
        _discard(temporary)
        raise OutputError(
            f"{path}: cannot be written: {reason(error)}.",
            "Check that the folder exists and is writable, and that the disk has free space.",
        ) from error


def _discard(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # the error that led here is the one to report
