"""Identity of a file: whether a path still names the file that is open."""

from __future__ import annotations

from pathlib import Path


def identity_of(path: Path) -> tuple[int, int] | None:
    """Device and inode of a file; None if it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
