"""The image files of a folder, in an order that people expect."""

import os
import re
from pathlib import Path

from pcedge.errors import ImageError

from .decoding import reason
from .formats import is_image_name


def list_images(folder: str | Path) -> list[Path]:
    """List the image files directly in ``folder``, ordered by :func:`natural_key`, without hidden files.

    Raises:
        ImageError: ``folder`` is not a folder that can be read.
    """
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.is_file()]
    except OSError as error:
        raise ImageError(f"{folder}: cannot be listed: {reason(error)}.") from error
    return [Path(folder, name) for name in sorted(filter(is_image_name, names), key=natural_key)]


def natural_key(name: str) -> tuple[list[tuple[str, int]], str]:
    """Natural sort key: ``2.png`` comes before ``10.png``."""
    pairs = re.findall(r"(\D*)(\d*)", name.lower())
    return [(text, int(digits or -1)) for text, digits in pairs], name
