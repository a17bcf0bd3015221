"""Pictures of a run, made small enough for a document of many."""

import io
from pathlib import Path

from pcedge.errors import ImageError, ResultError

_LONGEST_PX = 320
_QUALITY = 84


def thumbnail(path: Path) -> bytes:
    """An image as JPEG, at most 320 pixels high and wide.

    Raises:
        ResultError: It is missing or damaged.
    """
    from PIL import Image

    from pcedge.camera import read_image

    try:
        picture = Image.fromarray(read_image(path))
    except ImageError as error:
        raise ResultError(
            f"An image of the run cannot be used. {error.what}", "Restore the file, or evaluate again."
        ) from error
    picture.thumbnail((_LONGEST_PX, _LONGEST_PX), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=_QUALITY, optimize=True)
    return content.getvalue()
