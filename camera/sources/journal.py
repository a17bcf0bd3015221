"""Journal of the judged files of watched folders, which survives a kill."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import IO

from pcedge.errors import OutputError

from ..util.output_files import make_folder, open_to_append, replace_output

_KEY = re.compile(r"file-[0-9a-f]{8}-[0-9a-f]{16}")
_KEY_BYTES = re.compile(_KEY.pattern.encode())
# Far more than the one event that a kill can leave without an entry in the journal, and than the events of
# the half minute in which a system writes the journal's last lines to the disk.
_TAIL_BYTES = 1 << 22


class Journal:
    """A file with the keys of all judged files, one per line; a context manager.

    The event is written first, then its key is added here. A kill in between leaves one event without an
    entry, a power cut those of the last seconds; on opening, they are found by reading the end of the events
    file, every line of which is on the disk before its key is added.

    Args:
        path: File of the journal; it and its folder are created if they are missing.
        events: The events file, as :class:`~pcedge.camera.JsonLines` writes it.
    """

    def __init__(self, path: str | Path, events: str | Path) -> None:
        self._path = Path(path)
        self._events = Path(events)
        self._lock = threading.Lock()
        self._keys: set[str] = set()
        self._unwritten: list[str] = []
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Journal:
        """Open it.

        Raises:
            OutputError: It cannot be read or written.
        """
        try:
            make_folder(self._path.parent)
            self._keys = _noted(self._path) | _written(self._events)
            self._replace()
        except OSError as error:
            raise self._failed(error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: str) -> None:
        """Add the key of a judged file.

        Raises:
            OutputError: The key could not be written. It is kept in memory, and written with the next one.
        """
        with self._lock:
            self._keys.add(key)
            self._unwritten.append(key)
            if self._file is None:
                raise OutputError(f"{self._path}: is not open.", "Use it in a with block.")
            # Start with a line break, since the previous line may be incomplete.
            lines = "".join(f"\n{one}" for one in self._unwritten).encode()
            try:
                if self._file.write(lines) != len(lines):
                    raise OutputError(f"{self._path}: the disk is full.", "Free some space on it.")
            except OSError as error:
                raise self._failed(error) from error
            self._unwritten = []

    def forget_others(self, prefix: str, keys: Collection[str]) -> None:
        """Drop the keys with a prefix (one folder) that are not in ``keys``: their files were removed."""
        with self._lock:
            self._keys = {key for key in self._keys if not key.startswith(prefix)} | set(keys)
            try:
                self._replace()
            except OSError as error:
                raise self._failed(error) from error

    def _replace(self) -> None:
        """Replace the journal atomically by a new file."""
        replace_output(self._path, "".join(f"\n{key}" for key in sorted(self._keys)).encode())
        if self._file is not None:
            self._file.close()
        self._file = open_to_append(self._path)

    def _failed(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self._path}: cannot be written: {error.strerror}.",
            "Check that it is writable and that the disk has free space.",
        )


def is_file_key(key: str) -> bool:
    """Whether a key is the key of a file in a watched folder."""
    return _KEY.fullmatch(key) is not None


def _noted(journal: Path) -> set[str]:
    """The keys in a journal; what else is in it, after a fault of the disk perhaps, is passed over."""
    content = journal.read_bytes() if journal.exists() else b""
    return {key.decode() for key in _KEY_BYTES.findall(content)}


def _written(events: Path) -> set[str]:
    """Return the keys of the last events in the events file."""
    newest = [events, events.with_name(f"{events.name}.1")]
    return {key for path in newest if path.exists() for key in _tail_keys(path)}


def _tail_keys(path: Path) -> set[str]:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL_BYTES))
        lines = file.read().split(b"\n")
    keys = (_key_of(line) for line in lines)
    return {key for key in keys if is_file_key(key)}


def _key_of(line: bytes) -> str:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):  # cut off, by the kill or by where reading began; or damaged
        return ""
    return str(found.get("id", "")) if isinstance(found, dict) else ""
