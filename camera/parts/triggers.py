"""What announces a part, and what a kind of trigger says of itself."""

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
from ..util.mqtt_broker import Broker

_MOST_WAITING = 64
Positive = Annotated[float, Meta(gt=0)]
Whole = Annotated[int, Meta(ge=1)]
Box = tuple[Annotated[int, Meta(ge=0)], Annotated[int, Meta(ge=0)], Whole, Whole]


class Trigger(Protocol):
    """Announces parts."""

    def see(self, frame: Frame) -> None:
        """Look at a frame; told of every one, judged or not."""

    def fired_before(self, clock_s: float) -> float | None:
        """Take the oldest announcement made at or before a ``time.monotonic()``; None without one."""


class MessageTrigger:
    """A part whenever somebody calls :meth:`fire`, from any thread: a listener for MQTT or HTTP does.

    Announcements that nobody takes are kept up to 64; then the oldest make room.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fired: deque[float] = deque(maxlen=_MOST_WAITING)

    def fire(self) -> None:
        """Announce a part, now."""
        with self._lock:
            self._fired.append(time.monotonic())

    def see(self, frame: Frame) -> None:
        """Messages do not look."""

    def fired_before(self, clock_s: float) -> float | None:
        """Take the oldest announcement."""
        with self._lock:
            return self._fired.popleft() if self._fired and self._fired[0] <= clock_s else None


class TriggerTable(msgspec.Struct, frozen=True, kw_only=True):
    """``trigger`` of a camera: what announces a part, by the name of its kind, and what every kind knows.

    Attributes:
        by: The kind.
        frames: Frames that are judged of a part; the worst decides.
        timeout_s: Seconds to wait for these frames; a part whose frames do not come is INVALID.
    """

    by: str
    frames: Whole = 1
    timeout_s: Positive = 2.0


@dataclass(frozen=True)
class Listening:
    """Where messages that announce parts come in.

    Attributes:
        host: Address that the HTTP server listens on.
        port: Its port.
        broker: Gives the MQTT broker; None where there is none.
        topic: What its topics begin with.
    """

    host: str = "127.0.0.1"
    port: int = 9109
    broker: Callable[[], Broker] | None = None
    topic: str = "pcedge"


TriggerTableType = TypeVar("TriggerTableType", bound=TriggerTable)
Listen = Callable[[Listening, Mapping[str, MessageTrigger]], AbstractContextManager[object]]


@dataclass(frozen=True)
class TriggerKind(Generic[TriggerTableType]):
    """A kind of trigger.

    Attributes:
        name: What ``by`` says.
        table: The keys it knows.
        make: Makes the trigger of one camera.
        listen: Makes what fires the triggers of all cameras that are of this kind, opened by ``with``; None
            for a kind that needs no messages.
    """

    name: str
    table: type[TriggerTableType]
    make: Callable[[TriggerTableType], Trigger]
    listen: Listen | None = None
