"""Sink wrapper that records finished files in a journal."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from ..events.event import Event
from ..sources.folders.journal import Journal, is_file_key
from .base import Mending, Sink


class Journaled:
    """Wraps a sink: the key of each file is added to a journal after its event was written.

    An event whose file is in the journal is not written again.

    Args:
        sink: The sink, such as :class:`~pcedge.camera.JsonLines`.
        journal: The journal, opened and closed by the caller.
        wait_for_others: Called before the event of a file is written, to wait for the other sinks. A file in
            the journal is never judged again, so after a kill they would not receive its event.
    """

    def __init__(
        self, sink: Sink, journal: Journal, wait_for_others: Callable[[], None] = lambda: None
    ) -> None:
        self._sink = sink
        self._journal = journal
        self._wait_for_others = wait_for_others

    @property
    def notes(self) -> int:
        """As the sink has it."""
        return self._sink.notes if isinstance(self._sink, Mending) else 0

    @property
    def note(self) -> str:
        """As the sink has it."""
        return self._sink.note if isinstance(self._sink, Mending) else ""

    def __enter__(self) -> Journaled:
        self._sink.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sink.__exit__(kind, error, trace)

    def write(self, event: Event) -> None:
        """Write an event, then add its file to the journal; skip a file that is already in the journal.

        Raises:
            PcedgeError: The sink could not write it.
        """
        file = is_file_key(event.id)
        if file and event.id in self._journal:
            return
        if file:
            self._wait_for_others()
        self._sink.write(event)
        if file:
            self._journal.add(event.id)
