"""Standard output and error as sinks: whoever reads them does not hold up the inspection."""

from __future__ import annotations

import errno
import io
from typing import IO, TextIO

from pcedge.errors import OutputError

from ..events.event import Event
from ..util.descriptor_writer import DescriptorWriter
from .sink_queue import Lane, SinkStatus

_TEXTS_WAITING = 1000


class TextOutput:
    """A sink that prints events, one JSON object a line.

    An event is dropped, and counted as lost, while nobody reads or the disk is full. If the reader is gone,
    that is noted, and nothing is printed any more.

    Args:
        stream: Standard output.

    Attributes:
        retries: False: an event that could not be printed is in the files.
        note: That the reader is gone; empty if it is there.
        notes: 1 if the reader is gone.
    """

    retries = False

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._writer = _writer(stream)
        self.note = ""
        self.notes = 0

    def __enter__(self) -> TextOutput:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave it open."""

    def write(self, event: Event) -> None:
        """Print one event.

        Raises:
            OutputError: It could not be printed completely.
        """
        if self.notes:
            return
        text = event.to_json() + "\n"
        try:
            if self._writer is None:
                self._stream.write(text)
                self._stream.flush()
            else:
                self._writer.write(text.encode())
        except OSError as error:
            if error.errno != errno.EPIPE:
                raise OutputError(
                    f"standard output: {error.strerror}.", "Events are in the files."
                ) from error
            self.note = "standard output is gone (its reader has ended); events go to the files only"
            self.notes = 1

    def trouble(self) -> str:
        """Return why nothing has been printed for long; empty if all is well."""
        return "" if self._writer is None else self._writer.trouble()


class QueuedText(io.TextIOBase):
    """Stands in for a text stream: writing never waits, a thread passes the text on.

    At most 1,000 texts wait; further ones are dropped and counted.

    Args:
        stream: The stream, with a file descriptor.
        name: Its name in status reports.
    """

    def __init__(self, stream: TextIO, name: str) -> None:
        super().__init__()
        self._stream = stream
        self._writer = DescriptorWriter(stream.fileno())
        self._lane = Lane(
            name,
            self._pass_on,
            lambda *_: None,
            _TEXTS_WAITING,
            retries=False,
            trouble=self._writer.trouble,
        )
        self._gone = False

    @property
    def encoding(self) -> str:  # type: ignore[override] # it is writable in the standard library only
        """Encoding of the stream."""
        return self._stream.encoding

    def write(self, text: str) -> int:
        """Queue a text; what the encoding does not have is escaped."""
        if text:
            self._lane.put(text.encode(self.encoding, "backslashreplace"))
        return len(text)

    def writable(self) -> bool:
        """Yes."""
        return True

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """File descriptor of the stream."""
        return self._stream.fileno()

    def report(self) -> SinkStatus:
        """Return the status."""
        return self._lane.report()

    def end(self, within_s: float) -> None:
        """Write what waits, for at most so long."""
        self._lane.end_within(within_s)

    def _pass_on(self, text: bytes) -> None:
        if self._gone:
            return
        try:
            self._writer.write(text)
        except OSError as error:
            self._gone = error.errno == errno.EPIPE
            if not self._gone:
                raise OutputError(f"{self._lane.name}: {error.strerror}.") from error


def has_descriptor(stream: TextIO | None) -> bool:
    """Whether a stream has a file descriptor; those of a test have none."""
    try:
        return stream is not None and stream.fileno() >= 0
    except (OSError, ValueError):
        return False


def _writer(stream: IO[str]) -> DescriptorWriter | None:
    try:
        return DescriptorWriter(stream.fileno())
    except (OSError, ValueError):
        return None
