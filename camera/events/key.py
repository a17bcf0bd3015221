"""What tells one event from every other, however often it is written or sent."""

from __future__ import annotations

from uuid import NAMESPACE_URL, uuid5

from .event import Event, Phase


def record_key(event: Event) -> str:
    """Return a UUID: the same for the same event at any time, also when a file is judged again after a kill.

    A part has one ``new`` and one ``end``, whatever number their frames had; its updates differ by theirs.
    """
    which = f"{event.source}/{event.frame}/{event.time}"
    if event.id:
        which = f"{event.id}/{event.phase.value}"
        if event.phase is Phase.UPDATE:
            which += f"/{event.frame}/{event.time}"
    return str(uuid5(NAMESPACE_URL, f"pcedge:{event.camera}/{which}"))
