"""JSON Lines sink: one event per line, complete lines after a kill, with rotation."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import IO, Annotated

from msgspec import Meta

from pcedge.errors import OutputError

from ...events.event import Event
from ...util.file_identity import identity_of
from ...util.output_files import append_line, make_folder, open_to_append
from ..settings import Positive, SinkKind, SinkTable, Text

_BLOCK = 1 << 16


class JsonLines:
    """Appends events to a text file, one JSON object per line.

    Except during a write, the file always ends with a complete line. An incomplete line is removed at once if
    the disk is full, and when the file is opened after a kill. A file that was moved or removed, as by
    logrotate, is made anew. A line is on the disk when ``write`` returns: it survives a power cut.

    Args:
        path: The file; it and its folder are created if they are missing.
        max_bytes: A file that would become longer is renamed to ``NAME.1``, the previous one to ``NAME.2``
            and so on (rotation); None for no limit.
        keep: Number of renamed files that are kept; older ones are deleted.

    Attributes:
        notes: How often the file was moved or removed, and made anew.
    """

    def __init__(self, path: str | Path, *, max_bytes: int | None = None, keep: int = 10) -> None:
        self._path = Path(path)
        self._max_bytes = max_bytes
        self._keep = keep
        self._file: IO[bytes] | None = None
        self.notes = 0

    @property
    def note(self) -> str:
        """What was made anew; empty for nothing."""
        return f"{self._path} was moved or removed, and is made anew" if self.notes else ""

    def __enter__(self) -> JsonLines:
        try:
            self._file = self._open()
        except OSError as error:
            raise self._failed(error) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def write(self, event: Event) -> None:
        """Append one line; after a failure the file is unchanged.

        Raises:
            OutputError: The line could not be written completely.
        """
        if self._file is None:
            raise OutputError(f"{self._path}: is not open.", "Use it in a with block.")
        line = event.to_json().encode() + b"\n"
        try:
            self._file = self._with_room_for(line, self._still_there(self._file))
            if not append_line(self._file, line):
                raise OutputError(f"{self._path}: the disk is full.", "Free some space on it.")
        except OSError as error:
            raise self._failed(error) from error

    def _still_there(self, file: IO[bytes]) -> IO[bytes]:
        """Return the file that is at the path, which may have been moved or removed."""
        status = os.fstat(file.fileno())
        if identity_of(self._path) == (status.st_dev, status.st_ino):
            return file
        opened = self._open()
        file.close()
        self.notes += 1
        return opened

    def _with_room_for(self, line: bytes, file: IO[bytes]) -> IO[bytes]:
        size = os.fstat(file.fileno()).st_size
        if self._max_bytes is None or not size or size + len(line) <= self._max_bytes:
            return file
        for number in range(self._keep, 0, -1):
            older = self._rotated(number - 1) if number > 1 else self._path
            if older.exists():
                older.replace(self._rotated(number))
        if self._keep == 0:
            self._path.unlink()
        opened = self._open()
        file.close()
        return opened

    def _rotated(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def _open(self) -> IO[bytes]:
        make_folder(self._path.parent)
        # Unbuffered, so that a line that failed on a full disk is not written together with later ones.
        file = open_to_append(self._path)
        _mend(file, self._path)
        return file

    def _failed(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self._path}: cannot be written: {error.strerror}.",
            "Check that it is writable and that the disk has free space.",
        )


def _mend(file: IO[bytes], path: Path) -> None:
    """Terminate a last line that lacks only its line break, and remove one that is incomplete."""
    start, tail = _last_line(path)
    if not tail:
        return
    if _is_json(tail):
        file.write(b"\n")
    else:
        os.ftruncate(file.fileno(), start)


def _last_line(path: Path) -> tuple[int, bytes]:
    """Return the position after the last line break, and the text that follows."""
    with path.open("rb") as file:
        start, tail = file.seek(0, os.SEEK_END), b""
        while start and b"\n" not in tail:
            size = min(start, _BLOCK)
            start = file.seek(start - size)
            tail = file.read(size) + tail
    cut = tail.rfind(b"\n") + 1
    return start + cut, tail[cut:]


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


class JsonLinesTable(SinkTable, frozen=True):
    """``[sinks.jsonl]``: a file of JSON lines.

    Attributes:
        enabled: ``false`` for no such file.
        file: File name, below the output directory.
        max_mb: A file that would become larger is renamed to ``events.jsonl.1``, the previous one to ``.2``,
            ...
        keep: Number of renamed files to keep.
    """

    enabled: bool = True
    file: Text = "events.jsonl"
    max_mb: Positive = 100.0
    keep: Annotated[int, Meta(ge=0)] = 10


def _make(table: JsonLinesTable, output: Path) -> JsonLines | None:
    if not table.enabled:
        return None
    return JsonLines(output / table.file, max_bytes=round(table.max_mb * 1e6), keep=table.keep)


KIND = SinkKind("jsonl", JsonLinesTable, _make, default=JsonLinesTable())
