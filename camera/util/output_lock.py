"""Lock of an output directory: it has one writer."""

from __future__ import annotations

import errno
import fcntl
import os
import platform
from datetime import datetime
from pathlib import Path
from types import TracebackType

from pcedge.errors import OutputError

from .output_files import make_folder

LOCK_FILE = ".pcedge.lock"
_HELD = {errno.EACCES, errno.EAGAIN}


class OutputLock:
    """Keeps other writers away from a directory within a block; a kill releases it.

    Args:
        directory: The directory; created if it is missing.
        name: What writes there, for the message that others get.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._path = directory / LOCK_FILE
        self._name = name
        self._file: int | None = None

    def __enter__(self) -> OutputLock:
        """Take the lock.

        Raises:
            OutputError: Somebody else has it, who is named, or the directory cannot be written.
        """
        try:
            make_folder(self._path.parent)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
        except OSError as error:
            raise OutputError(
                f"{self._path}: cannot be written: {error.strerror}.", "Choose a writable --output."
            ) from error
        self._take(self._file)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _take(self, file: int) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _HELD:
                return  # a file system without locks
            holder = os.read(file, 1000).decode(errors="replace").strip() or "another process"
            self.__exit__(None, None, None)
            raise OutputError(
                f"{self._path.parent}: {holder} writes there already, and one directory has one writer.",
                "Stop that one, or choose another --output.",
            ) from error
        since = datetime.now().astimezone().isoformat(timespec="seconds")
        text = f"{self._name}, pid {os.getpid()} on {platform.node()}, since {since}\n"
        os.ftruncate(file, 0)
        os.pwrite(file, text.encode(), 0)
