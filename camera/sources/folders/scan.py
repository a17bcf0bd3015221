"""The files of a watched folder, and what is passed over in it, by reason."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from errno import ELOOP
from pathlib import Path
from stat import S_ISREG

from ...images import is_image_name, why_no_image

# Modification time in ns, size in bytes, inode: another inode is another file, whatever its time and size.
State = tuple[int, int, int]


@dataclass
class Scan:
    """One look at a folder.

    Attributes:
        states: State of every image, by its path relative to the folder.
        passed_over: Number of entries that are no images, by reason.
    """

    states: dict[str, State] = field(default_factory=dict)
    passed_over: Counter[str] = field(default_factory=Counter)


def scan(folder: Path, *, recursive: bool) -> Scan:
    """Look at a folder, and below it if ``recursive``; hidden folders are left out.

    Raises:
        OSError: The folder itself cannot be read. A subfolder that cannot is counted.
    """
    found = Scan()
    _scan(folder, "", found, recursive)
    return found


def state_of(file: Path | os.DirEntry[str]) -> State | None:
    """Return the state of a file; None if it does not exist or is not a regular file.

    Raises:
        OSError: It cannot be known, as on a share that is going away.
    """
    try:
        stat = file.stat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except OSError as error:
        if error.errno == ELOOP:  # a link to itself
            return None
        raise
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino) if S_ISREG(stat.st_mode) else None


def _scan(folder: Path, prefix: str, found: Scan, recursive: bool) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            if recursive and entry.is_dir() and not entry.name.startswith(".") and not entry.is_symlink():
                _enter(entry, prefix, found)
            elif is_image_name(entry.name) and (state := state_of(entry)) is not None:
                found.states[prefix + entry.name] = state
            elif reason := why_no_image(entry):
                found.passed_over[reason] += 1


def _enter(entry: os.DirEntry[str], prefix: str, found: Scan) -> None:
    try:
        _scan(Path(entry.path), f"{prefix}{entry.name}/", found, recursive=True)
    except OSError:
        found.passed_over["folders that cannot be read"] += 1
