"""Unique key of an event, the same however often the event is written or sent."""

from __future__ import annotations

from uuid import NAMESPACE_URL, uuid5

from .event import Event, Phase


def record_key(event: Event) -> str:
    """Return the UUID of an event; it is the same if a file is judged again after a kill.

    A part has one ``new`` and one ``end`` event, whatever their frame numbers; ``update`` events differ
    by frame number and time.
    """
    which = f"{event.source}/{event.frame}/{event.time}"
    if event.id:
        which = f"{event.id}/{event.phase.value}"
        if event.phase is Phase.UPDATE:
            which += f"/{event.frame}/{event.time}"
    return str(uuid5(NAMESPACE_URL, f"pcedge:{event.camera}/{which}"))
