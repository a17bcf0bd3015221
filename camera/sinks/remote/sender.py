"""Sender of events to a remote endpoint, with an outbox on disk and retries."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from pcedge.errors import PcedgeError

from ...events.event import Event
from ...events.key import record_key
from ...frames import Verdict
from ...util.backoff import Backoff
from ...util.supervisor import Supervised
from .outbox import Message, Outbox

_BATCH = 100
# Between attempts while the remote endpoint does not answer; there is no last attempt.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_DRAIN_S = 2.0
_LAST_ATTEMPT_S = 1.0


@dataclass(frozen=True)
class Receipt:
    """Receipt for a message that need not be sent again.

    Attributes:
        number: Number of the message.
        refused: Empty if the remote endpoint has received it, or why it refuses it.
    """

    number: int
    refused: str = ""


@dataclass(frozen=True)
class Backlog:
    """Status of the remote endpoint.

    Attributes:
        waiting: Messages on disk that it has not received yet.
        failures: Failed attempts.
        refused: Messages that it refused.
        last_fault: The last error; empty if there was none.
        faulty: Whether the last attempt failed.
    """

    waiting: int
    failures: int
    refused: int
    last_fault: str
    faulty: bool


@runtime_checkable
class Sending(Protocol):
    """A sink with a remote endpoint."""

    def backlog(self) -> Backlog:
        """Status of the remote endpoint."""


class Transport(Protocol):
    """Transport to a remote endpoint; used by one thread at a time."""

    def open(self, hurry: Callable[[], None]) -> None:
        """Start; does not wait for the remote endpoint.

        Args:
            hurry: Called by the transport when the remote endpoint is reachable again.

        Raises:
            PcedgeError: The configuration is wrong.
        """

    def send(self, messages: Sequence[Message]) -> Iterator[Receipt]:
        """Send messages in this order and yield a receipt for each that need not be sent again.

        Also called without messages when the remote endpoint is reachable again.

        Raises:
            OutputError: The remote endpoint does not answer; messages without a receipt are sent again.
        """

    def close(self) -> None:
        """Disconnect within a second or two."""


class Posted:
    """A sink that writes events to an outbox on disk and sends them from there.

    No event is lost while the remote endpoint is not reachable, or by a restart on either side. An event may
    arrive twice, with the same key. When the outbox is full, events wait in memory as for any failing sink.

    Args:
        transport: Transport to the remote endpoint.
        outbox: Queue of the events.
        verdicts: Only events with these verdicts are sent.
    """

    def __init__(
        self, transport: Transport, outbox: Outbox, *, verdicts: Collection[Verdict] = tuple(Verdict)
    ) -> None:
        self._transport = transport
        self._outbox = outbox
        self._verdicts = frozenset(verdicts)
        self._wake = threading.Condition()
        self._closing_at: float | None = None
        self._thread: Supervised | None = None
        self._news = self._hurry = False
        self._failures = self._refused = 0
        self._last_fault = ""
        self._faulty = False

    def __enter__(self) -> Posted:
        self._outbox.open()
        try:
            self._transport.open(self.hurry)
        except BaseException:
            self._outbox.close()
            raise
        self._closing_at = None
        self._thread = Supervised("post events", self._run).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Keep sending for up to 2 s, disconnect, and leave the rest on disk for the next run."""
        with self._wake:
            self._closing_at = time.monotonic() + _DRAIN_S
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.end(_DRAIN_S + _LAST_ATTEMPT_S)
        self._transport.close()
        self._outbox.close()

    def write(self, event: Event) -> None:
        """Add an event to the outbox.

        Raises:
            OutputError: The outbox or the disk is full.
        """
        if event.verdict not in self._verdicts:
            return
        self._outbox.add(record_key(event), event.camera or event.source, event.to_json())
        with self._wake:
            self._news = True
            self._wake.notify_all()

    def hurry(self) -> None:
        """Send now, without waiting for the end of a pause."""
        with self._wake:
            self._news = self._hurry = True
            self._wake.notify_all()

    def backlog(self) -> Backlog:
        """Status of the remote endpoint."""
        return Backlog(len(self._outbox), self._failures, self._refused, self._last_fault, self._faulty)

    def _run(self) -> None:
        backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        while not self._over():
            self._news = self._hurry = False
            try:
                sent = self._send_some()
            except Exception as error:  # the events are on disk and can be sent again
                self._note(
                    error.what if isinstance(error, PcedgeError) else f"{type(error).__name__}: {error}"
                )
                self._faulty = True
                self._pause(backoff.next_s())
                continue
            self._faulty = False
            backoff.reset()
            if not sent:
                self._idle()

    def _send_some(self) -> int:
        """Send the oldest messages; returns their number."""
        messages = self._outbox.first(_BATCH)
        done: list[int] = []
        try:
            for receipt in self._transport.send(messages):
                done.append(receipt.number)
                if receipt.refused:
                    self._refused += 1
                    self._note(receipt.refused)
        finally:
            self._outbox.remove(done)
        return len(messages)

    def _over(self) -> bool:
        """Whether to end: closing, and all is sent, the time is over, or the endpoint is not reachable."""
        at = self._closing_at
        return at is not None and (self._faulty or not len(self._outbox) or time.monotonic() >= at)

    def _pause(self, pause_s: float) -> None:
        with self._wake:
            self._wake.wait_for(lambda: self._hurry or self._closing_at is not None, pause_s)

    def _idle(self) -> None:
        with self._wake:
            self._wake.wait_for(lambda: self._news or self._closing_at is not None)

    def _note(self, fault: str) -> None:
        self._failures += 1
        self._last_fault = fault
