"""Standard output and error of a watch, which never wait for who reads them."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pcedge.camera import AnySink, QueuedText, SinkStatus

_END_S = 2.0


@dataclass(frozen=True)
class Outputs:
    """Where a watch prints.

    Attributes:
        sinks: The sink that prints events, if there is one.
        queued: Text streams that stand in for standard error and, on a terminal, standard output.
    """

    sinks: "Mapping[str, AnySink]"
    queued: "tuple[QueuedText, ...]"

    def reports(self) -> "tuple[SinkStatus, ...]":
        """Status of the text streams."""
        return tuple(one.report() for one in self.queued)


@contextmanager
def outputs(*, events: bool) -> Iterator[Outputs]:
    """Print by threads of their own within the block.

    Args:
        events: Whether events are printed to standard output, one JSON object a line.
    """
    from pcedge.camera import QueuedText, TextOutput, has_descriptor

    before = sys.stdout, sys.stderr
    queued: list[QueuedText] = []
    if has_descriptor(sys.stderr):
        queued.append(QueuedText(sys.stderr, "stderr"))
        sys.stderr = queued[-1]
    if not events and has_descriptor(sys.stdout):
        queued.append(QueuedText(sys.stdout, "stdout"))
        sys.stdout = queued[-1]
    try:
        yield Outputs({"stdout": TextOutput(sys.stdout)} if events else {}, tuple(queued))
    finally:
        sys.stdout, sys.stderr = before
        for one in queued:
            one.end(_END_S)
