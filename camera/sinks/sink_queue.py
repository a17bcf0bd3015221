"""Queue and thread of one sink, with retries."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pcedge.errors import PcedgeError

from ..util.backoff import Backoff
from ..util.priority import give_way
from ..util.supervisor import Supervised, in_words

_HANGS_AFTER_S = 2.0
# Between attempts of a sink that fails.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_STEP_S = 0.2
_HANGS = f"has not returned for {_HANGS_AFTER_S:g} s"

Item = TypeVar("Item")


@dataclass(frozen=True)
class SinkStatus:
    """Status of a sink.

    Attributes:
        name: Name of the sink.
        written: Events that it has written.
        waiting: Events that wait for it in memory and, for a sink with an outbox, on disk.
        failures: Failed attempts.
        lost: Events that it will never receive.
        last_fault: The last error; empty if there was none.
        faulty: Whether its last attempt failed or it hangs.
        abandoned: Whether it did not close in time, so that its thread was abandoned.
        note: What it has mended by itself, such as a file that was removed; empty for nothing.
        notes: How often it has.
    """

    name: str
    written: int
    waiting: int
    failures: int
    lost: int
    last_fault: str
    faulty: bool
    abandoned: bool
    note: str = ""
    notes: int = 0


class Lane(Generic[Item]):
    """A queue with a thread that writes one item after the other to a sink.

    Args:
        name: Name of the sink, for status reports.
        write: Writes one item; a ``PcedgeError`` means that it may be retried.
        close: ``__exit__`` of the sink; called in the thread after the last item.
        capacity: Maximum number of queued items.
        retries: Whether a failed item is retried, with growing pauses, before the next one.
        gives_way: Whether the thread has a lower priority than the inspection.
        trouble: Returns why the sink does not do its work now; empty if it does.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[Item], object],
        close: Callable[[None, None, None], object],
        capacity: int,
        *,
        retries: bool,
        gives_way: bool = False,
        trouble: Callable[[], str] = str,
    ) -> None:
        self._name = name
        self._write = write
        self._close = close
        self._capacity = capacity
        self._retries = retries
        self._gives_way = gives_way
        self._trouble = trouble
        self._changed = threading.Condition()
        # Everything below is shared with the thread, under the lock of the condition.
        self._items: deque[Item] = deque()
        self._busy_since: float | None = None
        self._give_up_at: float | None = None
        self._patience_s = self._until = 0.0
        self._handed = self._written = self._failures = self._lost = 0
        self._last_fault = ""
        self._faulty = self._abandoned = False
        self._backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        self._not_before = 0.0
        self._thread = Supervised(f"sink {name}", self._run).start()

    @property
    def name(self) -> str:
        """Name of the sink."""
        return self._name

    def put(self, item: Item) -> None:
        """Queue an item, or count it as lost; returns at once."""
        with self._changed:
            self._handed += 1
            if self._give_up_at is not None:
                self._lose(1, "it was closed already")
            elif len(self._items) >= self._capacity:
                self._lose(1, self._last_fault or "it is too slow")
            else:
                self._items.append(item)
                self._changed.notify_all()

    def report(self) -> SinkStatus:
        """Return the status."""
        with self._changed:
            trouble = self._trouble() or (_HANGS if self._hangs() else "")
            return SinkStatus(
                name=self._name,
                written=self._written,
                waiting=len(self._items),
                failures=self._failures,
                lost=self._lost,
                last_fault=trouble or self._last_fault,
                faulty=bool(trouble) or self._faulty or self._abandoned,
                abandoned=self._abandoned,
            )

    def wait_empty(self, within_s: float) -> bool:
        """Wait until the queue is empty and nothing is being written."""
        with self._changed:
            return self._changed.wait_for(self._idle, max(0.0, within_s))

    def mark(self) -> int:
        """Return the number of items put so far."""
        with self._changed:
            return self._handed

    def wait_until_taken(self, mark: int, within_s: float) -> None:
        """Wait until the items put before the mark are written or lost; not for a faulty sink."""
        with self._changed:
            self._changed.wait_for(lambda: self._taken(mark), max(0.0, within_s))

    def _taken(self, mark: int) -> bool:
        return self._written + self._lost >= mark or self._faulty or self._hangs()

    def wait_for_room(self, within_s: float) -> None:
        """Wait until there is room in the queue; not for a faulty sink."""
        with self._changed:
            self._changed.wait_for(self._has_room, max(0.0, within_s))

    def _has_room(self) -> bool:
        return len(self._items) < self._capacity or self._faulty or self._hangs()

    def stop(self, patience_s: float, until: float) -> None:
        """Refuse further items, and write the queued ones while at least one is written per ``patience_s``.

        Args:
            patience_s: Seconds without a written item after which the rest is given up.
            until: Monotonic time at which the rest is given up in any case.
        """
        with self._changed:
            give_up_at = min(time.monotonic() + patience_s, until)
            if self._give_up_at is None or give_up_at < self._give_up_at:
                self._give_up_at = give_up_at
                self._patience_s, self._until = patience_s, until
            self._changed.notify_all()

    def end_within(self, seconds: float) -> None:
        """Stop and wait for the end, for at most so long."""
        self.stop(seconds, time.monotonic() + seconds)
        self.join()

    def join(self) -> None:
        """Wait for the end of the thread after :meth:`stop`; a thread that hangs is abandoned."""
        while self._thread.is_alive() and (left_s := self._left_s()) > 0:
            self._thread.join(min(left_s, _STEP_S))  # the time may be cut short meanwhile
        with self._changed:
            if self._thread.is_alive() and not self._abandoned:
                self._abandoned = True
                why = self._trouble() or "it did not end in time"
                self._lose(len(self._items) + (self._busy_since is not None), why)
                self._items.clear()
        self._thread.end()

    def _left_s(self) -> float:
        with self._changed:
            return 0.0 if self._give_up_at is None else self._give_up_at - time.monotonic()

    def _hangs(self) -> bool:
        """Whether the current item has been in progress for too long."""
        return self._busy_since is not None and time.monotonic() - self._busy_since > _HANGS_AFTER_S

    def _idle(self) -> bool:
        return not self._items and self._busy_since is None

    def _run(self) -> None:
        if self._gives_way:
            give_way()
        while (item := self._next()) is not None:
            fault, again = self._attempt(item[0])
            with self._changed:
                self._settle(item[0], fault, again)
                self._changed.notify_all()
        self._attempt_close()

    def _next(self) -> tuple[Item] | None:
        """Return the next item in a tuple, once its pause is over; None at the end."""
        with self._changed:
            while self._give_up_at is None and (pause_s := self._pause_s()) != 0:
                self._changed.wait(pause_s)
            if self._give_up_at is not None and time.monotonic() >= self._give_up_at:
                self._lose(len(self._items), self._last_fault or "it was too slow to end in time")
                self._items.clear()
            if not self._items:
                return None
            self._busy_since = time.monotonic()
            return (self._items.popleft(),)

    def _pause_s(self) -> float | None:
        """Return how long to wait for the next item; None if the queue is empty."""
        return max(0.0, self._not_before - time.monotonic()) if self._items else None

    def _attempt(self, item: Item) -> tuple[str, bool]:
        """Write an item; returns the error, or an empty string, and whether it may be retried."""
        try:
            self._write(item)
        except Exception as error:  # after a bug in the sink the next event may still succeed
            return in_words(error), self._retries and isinstance(error, PcedgeError)
        return "", False

    def _settle(self, item: Item, fault: str, again: bool) -> None:
        self._busy_since = None
        if self._abandoned:
            return  # already counted as lost
        self._faulty = bool(fault)
        if not fault:
            self._written += 1
            self._backoff.reset()
            if self._give_up_at is not None:
                self._give_up_at = min(time.monotonic() + self._patience_s, self._until)
            return
        self._failures += 1
        self._last_fault = fault
        if again and self._give_up_at is None:
            self._items.appendleft(item)
            self._not_before = time.monotonic() + self._backoff.next_s()
        else:
            self._lost += 1

    def _attempt_close(self) -> None:
        try:
            self._close(None, None, None)
        except Exception as error:
            with self._changed:
                self._failures += 1
                self._faulty = True
                self._last_fault = in_words(error)

    def _lose(self, count: int, why: str) -> None:
        if count:
            self._lost += count
            self._last_fault = why
