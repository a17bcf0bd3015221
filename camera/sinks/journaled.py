"""Events of files, noted in a journal once a sink has taken them."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from ..events.event import Event
from ..sources.journal import Journal, is_file_key
from .base import Sink


class Journaled:
    """A sink whose events are noted in a journal once it has taken them; no event reaches it twice.

    Args:
        sink: Such as :class:`~pcedge.camera.JsonLines`.
        journal: Opened by whoever made it.
        wait_for_others: Called before a file's event is written, to let other sinks take it first: what is
            written here is never judged again, so that after a kill they would not get it any more.
    """

    def __init__(
        self, sink: Sink, journal: Journal, wait_for_others: Callable[[], None] = lambda: None
    ) -> None:
        self._sink = sink
        self._journal = journal
        self._wait_for_others = wait_for_others

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
        """Hand the event on, then note it; one that is noted is left out.

        Raises:
            PcedgeError: The sink did not take it.
        """
        file = is_file_key(event.id)
        if file and event.id in self._journal:
            return
        if file:
            self._wait_for_others()
        self._sink.write(event)
        if file:
            self._journal.add(event.id)
