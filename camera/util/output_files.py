"""Files of an output directory, into which others may be able to write too.

Links are not followed, names of temporary files cannot be guessed, and what is made is for this user and its
group alone.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import IO

_FILE_MODE, _FOLDER_MODE = 0o640, 0o750
_SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_WRITABLE_BY_OTHERS, _STICKY = 0o002, 0o1000


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, if they are missing.

    Raises:
        OSError: It cannot be made.
    """
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)


def open_to_append(path: Path) -> IO[bytes]:
    """Open a file to append to, unbuffered; it is made if it is missing.

    Raises:
        OSError: It is a link, or cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _SAFELY, _FILE_MODE)
    return os.fdopen(descriptor, "ab", buffering=0)


def append_line(file: IO[bytes], line: bytes) -> bool:
    """Append a line and wait until it is on the disk; of one that the disk has no room for, nothing stays.

    Returns:
        Whether there was room.

    Raises:
        OSError: It cannot be written.
    """
    before = os.fstat(file.fileno()).st_size
    if file.write(line) != len(line):
        os.ftruncate(file.fileno(), before)
        return False
    synchronise(file)
    return True


def make_if_missing(path: Path) -> None:
    """Make an empty file if there is none, for a library that opens it by its name.

    Raises:
        OSError: It is a link, or cannot be written.
    """
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | _SAFELY, _FILE_MODE))


def synchronise(file: IO[bytes]) -> None:
    """Wait until what was written to a file is on the disk, so that it survives a power cut.

    Raises:
        OSError: The disk failed.
    """
    getattr(os, "fdatasync", os.fsync)(file.fileno())


def unfinished_path(path: Path, suffix: str = "") -> Path:
    """A hidden name beside ``path`` that nobody can guess, for a file that is being written."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.randbelow(10**18)}.tmp{suffix}")


def create(path: Path) -> IO[bytes]:
    """Create a file that must not exist yet, to write to.

    Raises:
        OSError: There is something of that name, or it cannot be made.
    """
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFELY, _FILE_MODE), "w+b")


def replace_output(path: Path, content: bytes) -> None:
    """Write a file whole: a reader sees the old content or the new.

    Raises:
        OSError: It cannot be written; an existing file stays as it is.
    """
    temporary = unfinished_path(path)
    try:
        with create(temporary) as file:
            file.write(content)
            file.flush()
            synchronise(file)  # after a power cut the new name must not stand for an empty file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def is_writable_by_others(folder: Path) -> bool:
    """Whether every user of this machine can write into a folder; False for one that is not there."""
    try:
        mode = folder.stat().st_mode
    except OSError:
        return False
    return bool(mode & _WRITABLE_BY_OTHERS) and not mode & _STICKY
