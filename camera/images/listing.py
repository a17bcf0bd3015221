"""The image files of a folder, in an order that people expect."""

import os
import re
import stat
from pathlib import Path

from pcedge.errors import ImageError

from .decoding import reason
from .formats import TEMPORARY_SUFFIXES, is_image_name


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


def why_no_image(entry: os.DirEntry[str]) -> str:
    """Why what is in a folder is not listed as an image, as words that follow a number; empty if it is."""
    if entry.name.startswith("."):
        return "hidden files"
    try:
        mode = entry.stat().st_mode
    except OSError:
        return "links that lead nowhere" if entry.is_symlink() else "files that cannot be read"
    if stat.S_ISDIR(mode):
        return "folders"
    if not stat.S_ISREG(mode):
        return "pipes, sockets or devices"
    if is_image_name(entry.name):
        return ""
    unfinished = any(suffix.lower() in TEMPORARY_SUFFIXES for suffix in Path(entry.name).suffixes[-2:])
    return "files that end like unfinished ones" if unfinished else "files that are no images by their names"


def natural_key(name: str) -> tuple[list[tuple[str, int]], str]:
    """Natural sort key: ``2.png`` comes before ``10.png``."""
    pairs = re.findall(r"(\D*)(\d*)", name.lower())
    return [(text, int(digits or -1)) for text, digits in pairs], name
