"""What tells one event from every other, however often it is written or sent."""

from __future__ import annotations

from uuid import NAMESPACE_URL, uuid5

from .events import Event


def record_key(event: Event) -> str:
    """Return a UUID made of an event's source, frame and time: the same for the same frame, at any time."""
    return str(uuid5(NAMESPACE_URL, f"pcedge:{event.source}/{event.frame}/{event.time}"))
