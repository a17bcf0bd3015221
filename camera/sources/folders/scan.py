"""The files of a watched folder, and what is passed over in it, by reason."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from errno import ELOOP
from pathlib import Path
from stat import S_ISREG

from ...images import is_image_name

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
            if entry.is_dir():
                _enter(entry, prefix, found, recursive)
            elif not is_image_name(entry.name):
                found.passed_over[_why(entry.name)] += 1
            elif (state := state_of(entry)) is None:
                found.passed_over["not a file (a broken link, a pipe or a device)"] += 1
            else:
                found.states[prefix + entry.name] = state


def _enter(entry: os.DirEntry[str], prefix: str, found: Scan, recursive: bool) -> None:
    if not recursive:
        found.passed_over["subfolder (--recursive)"] += 1
    elif entry.name.startswith(".") or entry.is_symlink():
        found.passed_over["hidden or linked folder"] += 1
    else:
        try:
            _scan(Path(entry.path), f"{prefix}{entry.name}/", found, recursive)
        except OSError:
            found.passed_over["subfolder that cannot be read"] += 1


def _why(name: str) -> str:
    if name.startswith("."):
        return "hidden"
    whole = Path(name).with_suffix("").name if Path(name).suffix.lower() in {".part", ".tmp"} else name
    temporary = whole != name or is_image_name(f"{Path(Path(name).stem).stem}{Path(name).suffix}")
    return "temporary name" if temporary else "not an image by its name"
