"""Sender of events to a remote endpoint, with an outbox on disk and retries."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from pcedge.errors import OutputError

from ...events.event import Event
from ...events.key import record_key
from ...frames import Verdict
from ...util.backoff import Backoff
from ...util.supervisor import Supervised, in_words
from ..base import Troubled
from .dead_letters import DeadLetters
from .outbox import Message, Outbox

_BATCH = 100
# Between attempts while the remote endpoint does not answer; there is no last attempt.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_DRAIN_S = 2.0
_LAST_ATTEMPT_S = 1.0
_CLOSING_PAUSE_S = 0.2
_ANSWERS_WITHIN_S = 2.0
# Of the first message, before others are tried.
_TRIES = 4


@dataclass(frozen=True)
class Receipt:
    """Receipt for a message that need not be sent again.

    Attributes:
        number: Number of the message.
        refused: Empty if the remote endpoint has received it, or why it refuses it.
    """

    number: int
    refused: str = ""


class MessageError(OutputError):
    """The remote endpoint was reached, and a message did not get through; the next one may."""


@dataclass(frozen=True)
class Backlog:
    """Status of the remote endpoint.

    Attributes:
        waiting: Messages on disk that it has not received yet.
        failures: Failed attempts.
        refused: Messages that it does not take, which were set aside, and messages of a removed outbox.
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
            MessageError: The first message without a receipt did not get through.
            OutputError: The remote endpoint does not answer; messages without a receipt are sent again.
        """

    def close(self) -> None:
        """Disconnect within a second or two."""


class Posted:
    """A sink that writes events to an outbox on disk and sends them from there.

    No event is lost while the remote endpoint is not reachable, or by a restart on either side. An event may
    arrive twice, with the same key. When the outbox is full, events wait in memory as for any failing sink.

    One bad message does not hold up the rest: when it has not got through four times, and another message has
    since, it is tried once more and then set aside in ``NAME.dead.jsonl`` beside the outbox. The others keep
    their order. A message that the remote endpoint refuses for good is set aside at once.

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
        self._dead = DeadLetters(outbox.path.with_name(f"{outbox.path.stem}.dead.jsonl"))
        self._verdicts = frozenset(verdicts)
        self._wake = threading.Condition()
        self._closing_at: float | None = None
        self._thread: Supervised | None = None
        self._news = self._hurry = False
        self._failures = self._refused = 0
        self._last_fault = ""
        self._faulty = False
        self._failed: dict[
            int, tuple[int, float]
        ] = {}  # messages that have not got through: tries, since when
        self._through_s = 0.0  # when the last message got through
        self._waiting_since: float | None = None  # for an answer
        self.note, self.notes = "", 0

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
        lost = self._refused + self._outbox.removed
        fault = self._last_fault
        if self._outbox.removed and not fault:
            fault = f"{self._outbox.path} was removed with {self._outbox.removed} messages in it"
        return Backlog(len(self._outbox), self._failures, lost, fault, self._faulty)

    def trouble(self) -> str:
        """Return why nothing gets through now, before an attempt has failed; empty if it does."""
        since = self._waiting_since
        if since is not None and time.monotonic() - since > _ANSWERS_WITHIN_S:
            return f"no answer for {_ANSWERS_WITHIN_S:g} s"
        return self._transport.trouble() if isinstance(self._transport, Troubled) else ""

    def _run(self) -> None:
        backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        while not self._over():
            self._news = self._hurry = False
            try:
                sent = self._send_some()
            except Exception as error:  # the events are on disk and can be sent again
                self._note(in_words(error))
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
        try:
            self._send(messages)
        except MessageError as error:
            self._did_not_get_through(error.what)
            raise
        return len(messages)

    def _send(self, messages: Sequence[Message]) -> None:
        """Send messages; those that were received or refused leave the outbox, also if it fails then."""
        named = {one.number: one for one in messages}
        done: list[int] = []
        self._waiting_since = time.monotonic()
        try:
            for receipt in self._transport.send(messages):
                self._waiting_since = time.monotonic()
                self._failed.pop(receipt.number, None)
                if receipt.refused:
                    self._set_aside(named[receipt.number], receipt.refused)
                else:
                    self._through_s = time.monotonic()
                done.append(receipt.number)
        finally:
            self._waiting_since = None
            self._outbox.remove(done)

    def _did_not_get_through(self, reason: str) -> None:
        """Count a failure of the first message, and find out whether it or the remote endpoint is bad."""
        messages = self._outbox.first(_BATCH)
        if not messages:
            return
        head, others = messages[0], messages[1:]
        tries, since_s = self._count_failure(head)
        if tries < _TRIES:
            return
        if self._through_s < since_s:
            if not others:
                return
            # Another one in each attempt, since there may be several bad messages.
            other = others[(tries - _TRIES) % len(others)]
            try:
                self._send([other])
            except MessageError:
                self._count_failure(other)
                return
            with suppress(MessageError):
                self._send([head])
                return
        self._set_aside(head, reason)
        self._failed.pop(head.number, None)
        self._outbox.remove([head.number])

    def _count_failure(self, message: Message) -> tuple[int, float]:
        """Return how often a message has not got through, and since when."""
        tries, since_s = self._failed.get(message.number, (0, time.monotonic()))
        self._failed[message.number] = (tries + 1, since_s)
        return tries + 1, since_s

    def _set_aside(self, message: Message, reason: str) -> None:
        self._dead.add(message, reason, time.time())
        self._refused += 1
        self._note(reason)
        self.note = f"an event was set aside in {self._dead.path}: {reason}"
        self.notes += 1

    def _over(self) -> bool:
        """Whether to end: closing, and all is sent, the time is over, or the endpoint is not reachable."""
        at = self._closing_at
        if at is None:
            return False
        away = self._faulty and not getattr(self._transport, "starting", False)
        return away or not len(self._outbox) or time.monotonic() >= at

    def _pause(self, pause_s: float) -> None:
        with self._wake:
            if self._wake.wait_for(lambda: self._hurry or self._closing_at is not None, pause_s):
                self._wake.wait_for(lambda: self._hurry, _CLOSING_PAUSE_S)

    def _idle(self) -> None:
        with self._wake:
            self._wake.wait_for(lambda: self._news or self._closing_at is not None)

    def _note(self, fault: str) -> None:
        self._failures += 1
        self._last_fault = fault
