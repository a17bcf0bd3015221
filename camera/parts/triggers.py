"""Base of the triggers: protocol, message trigger, common settings and the description of a kind."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated, Generic, Protocol, TypeVar

import msgspec
from msgspec import Meta

from ..frames import Frame
from ..util.credentials import Secret
from ..util.mqtt_broker import Broker

_MOST_WAITING = 64
Positive = Annotated[float, Meta(gt=0)]
Whole = Annotated[int, Meta(ge=1)]
Box = tuple[Annotated[int, Meta(ge=0)], Annotated[int, Meta(ge=0)], Whole, Whole]


class Trigger(Protocol):
    """Announces parts."""

    def see(self, frame: Frame) -> None:
        """Look at a frame; called for every frame, judged or not."""

    def fired_before(self, clock_s: float) -> float | None:
        """Remove and return the oldest announcement up to a ``time.monotonic()``; None if there is none."""


class MessageTrigger:
    """Announces a part when :meth:`fire` is called, from any thread, as the MQTT and HTTP listeners do.

    Up to 64 announcements are queued; beyond that the oldest are dropped.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fired: deque[float] = deque(maxlen=_MOST_WAITING)

    def fire(self) -> None:
        """Announce a part now."""
        with self._lock:
            self._fired.append(time.monotonic())

    def see(self, frame: Frame) -> None:
        """Ignore frames."""

    def fired_before(self, clock_s: float) -> float | None:
        """Remove and return the oldest announcement."""
        with self._lock:
            return self._fired.popleft() if self._fired and self._fired[0] <= clock_s else None


class TriggerTable(msgspec.Struct, frozen=True, kw_only=True):
    """``trigger`` of a camera: the kind of trigger, and the keys that all kinds have.

    Attributes:
        by: Kind of trigger.
        frames: Number of frames that are judged per part; the worst verdict decides.
        timeout_s: Seconds to wait for these frames; a part whose frames do not arrive is INVALID.
    """

    by: str
    frames: Whole = 1
    timeout_s: Positive = 2.0


@dataclass(frozen=True)
class Listening:
    """Addresses at which message triggers are received.

    Attributes:
        host: Address that the HTTP server listens on.
        port: Port of the HTTP server.
        token: Token that a client must bring; None for none.
        broker: Returns the MQTT broker; None if there is none.
        topic: Prefix of the MQTT topics.
    """

    host: str = "127.0.0.1"
    port: int = 9109
    token: Secret | None = None
    broker: Callable[[], Broker] | None = None
    topic: str = "pcedge"


TriggerTableType = TypeVar("TriggerTableType", bound=TriggerTable)
Listen = Callable[[Listening, Mapping[str, MessageTrigger]], AbstractContextManager[object]]


@dataclass(frozen=True)
class TriggerKind(Generic[TriggerTableType]):
    """A kind of trigger.

    Attributes:
        name: Name of the kind, the value of ``by``.
        table: Table with the keys of the kind.
        make: Creates the trigger of one camera.
        listen: Creates a context manager that listens for messages and fires the triggers of this kind; None
            for a kind without messages.
    """

    name: str
    table: type[TriggerTableType]
    make: Callable[[TriggerTableType], Trigger]
    listen: Listen | None = None
