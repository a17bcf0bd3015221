"""Whether somebody is still writing a file."""

from __future__ import annotations

import os
import sys
from enum import Enum
from pathlib import Path


class FileWriter(Enum):
    """Whether a file is open for writing."""

    NONE = "nobody has it open"
    OPEN = "somebody has it open"
    UNKNOWN = "the system does not say: a network share, or somebody else's file"


def writer_of(path: Path) -> FileWriter:
    """Return whether a process of this machine has a file open for writing.

    Linux grants a read lease only on files that nobody has open for writing. It is given back at once; should
    somebody open the file just then, the signal is one that is ignored, where the usual one ends a process.
    """
    if sys.platform != "linux":
        return FileWriter.UNKNOWN
    import fcntl
    from signal import SIGURG

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return FileWriter.UNKNOWN
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return FileWriter.OPEN
    except OSError:
        return FileWriter.UNKNOWN
    finally:
        os.close(descriptor)
    return FileWriter.NONE
