"""Supervised threads: what a thread could not handle is reported, and the thread goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from pcedge.errors import PcedgeError

from .backoff import Backoff

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
# A thread that was started again is well once it has run for so long.
_WELL_AFTER_S = 5.0


@dataclass(frozen=True)
class ThreadStatus:
    """Status of a supervised thread.

    Attributes:
        name: Name of the thread.
        alive: Whether it runs.
        faults: How often it met something that it could not handle.
        last_fault: The last of these; empty if there was none.
        trouble: Why it does not do its work now; empty if it does.
    """

    name: str
    alive: bool
    faults: int
    last_fault: str
    trouble: str


class Supervised:
    """A background thread whose function is called again if it raises, with growing pauses.

    From :meth:`start` to :meth:`end` it is listed by :func:`thread_states`.

    Args:
        name: Name of the thread.
        run: Its work; the thread ends when it returns.
    """

    def __init__(self, name: str, run: Callable[[], object]) -> None:
        self.name = name
        self._run = run
        self._closing = threading.Event()
        self._backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        self._faults = 0
        self._last_fault = ""
        self._failed_s: float | None = None  # since when it has not done its work
        self._running_s = 0.0
        self._over = False
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)

    def start(self) -> Supervised:
        """Start the thread."""
        with _LOCK:
            _THREADS.append(self)
        self._thread.start()
        return self

    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def join(self, within_s: float) -> None:
        """Wait for the thread, if it was started."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, within_s))

    def end(self, within_s: float = 0.0) -> None:
        """Not start it again, wait for it, and no longer list it; a thread that hangs is left behind."""
        self._closing.set()
        self.join(within_s)
        with _LOCK:
            if self in _THREADS:
                _THREADS.remove(self)

    def wait(self, seconds: float) -> bool:
        """Wait in the thread; True once it has to end."""
        return self._closing.wait(seconds)

    def well(self) -> None:
        """Say, in the thread, that it does its work."""
        self._failed_s = None
        self._backoff.reset()

    def failed(self, error: BaseException) -> None:
        """Report what the thread could not handle, though it goes on."""
        self._faults += 1
        self._last_fault = in_words(error)

    def status(self) -> ThreadStatus:
        """Return the status."""
        alive = self._thread.is_alive()
        trouble = ""
        if self._failed_s is not None and not self._has_recovered():
            trouble = self._last_fault
        elif not alive and not self._over:
            trouble = "it has ended"
        return ThreadStatus(self.name, alive, self._faults, self._last_fault, trouble)

    def _has_recovered(self) -> bool:
        return self._running_s > 0 and time.monotonic() - self._running_s > _WELL_AFTER_S

    def _main(self) -> None:
        while not self._over and not self._closing.is_set():
            self._running_s = time.monotonic()
            try:
                self._run()
                self._over = True
            except BaseException as error:  # whatever it is, the work has to go on
                self.failed(error)
                self._failed_s = time.monotonic()
                if self._has_recovered():
                    self._backoff.reset()
                self._running_s = 0.0
                self._closing.wait(self._backoff.next_s())
        self._over = True


class Reported:
    """A thread that a library runs, listed by :func:`thread_states` until :meth:`end`.

    Args:
        name: Name of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._faults = 0
        self._last_fault = ""
        with _LOCK:
            _THREADS.append(self)

    def end(self) -> None:
        """No longer list it."""
        with _LOCK:
            if self in _THREADS:
                _THREADS.remove(self)

    def failed(self, error: BaseException) -> None:
        """Report what the thread could not handle, though it goes on."""
        self._faults += 1
        self._last_fault = in_words(error)

    def status(self) -> ThreadStatus:
        """Return the status."""
        return ThreadStatus(self._name, True, self._faults, self._last_fault, "")


class Repeating:
    """Calls a function periodically in a supervised thread until the block ends.

    If the function raises, that is reported, and it is called again after ``every_s``.

    Args:
        action: The function; first called after ``every_s``.
        every_s: Seconds between two calls.
        name: Name of the thread.
        ends_within_s: How long the end of the block waits for a call that is still running, in seconds.
    """

    def __init__(
        self, action: Callable[[], None], every_s: float, *, name: str, ends_within_s: float
    ) -> None:
        self._action = action
        self._every_s = every_s
        self._ends_within_s = ends_within_s
        self._thread = Supervised(name, self._repeat)

    def __enter__(self) -> Repeating:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.end(self._ends_within_s)

    def _repeat(self) -> None:
        while not self._thread.wait(self._every_s):
            self._action()
            self._thread.well()


def thread_states() -> tuple[ThreadStatus, ...]:
    """Status of the supervised threads of this process."""
    with _LOCK:
        threads = list(_THREADS)
    return tuple(one.status() for one in threads)


def in_words(error: BaseException) -> str:
    """An error in one line: the words of a ``PcedgeError``, otherwise its type too."""
    return error.what if isinstance(error, PcedgeError) else f"{type(error).__name__}: {error}"


_LOCK = threading.Lock()
_THREADS: list[Supervised | Reported] = []
