"""Signals of a watch: they end it within seconds, or let it read its file again, whatever hangs."""

import faulthandler
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

from pcedge.cli.exit_codes import PARTLY_DONE

if TYPE_CHECKING:
    from pcedge.line.status import Watched

# Everything whose default is to end the process without cleaning up.
_END = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_SINKS_WITHIN_S = 2.0
_CLOSED_AFTER_S, _OVER_AFTER_S, _BACKSTOP_S = 3.0, 4.3, 4.7


class EndSignals:
    """Within the block, signals end the watch, with its sinks closed and its gate at reject.

    They are read by a thread of their own, so that it does not matter in what the judging thread hangs. After
    4.3 s the process is ended in any case, with exit code 3; SIGINT or SIGTERM for the second time end it at
    once. Before the watch has begun they raise ``KeyboardInterrupt``.

    Args:
        reload: Called for SIGHUP, in that thread; None if SIGHUP ends the watch like SIGTERM.
    """

    def __init__(self, reload: "Callable[[], None] | None" = None) -> None:
        self._reload = reload
        self._watched: Watched | None = None
        self._asked = 0
        self._hung_up = False
        self._over = threading.Event()
        self._had_terminal = _has_terminal()
        self._before: dict[signal.Signals, object] = {}
        self._reader, self._writer, self._wakeup, self._nowhere = -1, -1, -1, -1

    @property
    def ending(self) -> bool:
        """Whether the end was asked for."""
        return self._asked > 0

    def __enter__(self) -> "EndSignals":
        self._reader, self._writer = os.pipe()
        self._nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.set_blocking(self._writer, False)
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in (*_END, signal.SIGHUP):
            if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue  # nohup
            self._before[number] = signal.signal(number, self._interrupt)
        threading.Thread(target=self._read, name="signals", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._asked:
            faulthandler.cancel_dump_traceback_later()
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # as signal.signal returned it
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._writer)  # which ends the thread
        os.close(self._nowhere)

    def arm(self, watched: "Watched | None") -> None:
        """Let signals end this watch; None between two."""
        self._watched = watched
        if watched is not None and self._hung_up:
            self._hung_up = False
            os.write(self._writer, bytes([signal.SIGHUP]))

    def _interrupt(self, number: int, _frame: FrameType | None) -> None:
        """In the main thread: nothing to do once there is a watch, which the other thread ends."""
        if self._watched is None and (number != signal.SIGHUP or self._reload is None):
            raise KeyboardInterrupt

    def _read(self) -> None:
        while numbers := os.read(self._reader, 1):
            number = numbers[0]
            if number == signal.SIGHUP and self._reload is not None and not self._terminal_is_gone():
                self._hang_up()
            elif number in self._before:
                self._end(number)
        os.close(self._reader)

    def _hang_up(self) -> None:
        assert self._reload is not None
        if self._watched is None:
            self._hung_up = True  # when it has begun
        elif not self._asked:
            self._reload()

    def _terminal_is_gone(self) -> bool:
        return self._had_terminal and not _has_terminal()

    def _end(self, number: int) -> None:
        self._asked += 1
        if self._asked > 1 and number in (signal.SIGINT, signal.SIGTERM):
            os._exit(128 + number)
        watched = self._watched
        if watched is not None and self._asked == 1:
            faulthandler.dump_traceback_later(_BACKSTOP_S, exit=True, file=self._nowhere)
            watched.end(_SINKS_WITHIN_S)
            threading.Thread(target=self._force, args=(watched,), name="end", daemon=True).start()

    def _force(self, watched: "Watched") -> None:
        """End what does not end by itself; what sinks can still be closed are, a gate at reject."""
        began = time.monotonic()
        if self._over.wait(_CLOSED_AFTER_S):
            return
        with suppress(Exception):
            watched.delivery.hurry(_OVER_AFTER_S - _CLOSED_AFTER_S)
            watched.delivery.close()
        if not self._over.wait(max(0.0, began + _OVER_AFTER_S - time.monotonic())):
            os._exit(PARTLY_DONE)


def _has_terminal() -> bool:
    """Whether the process has a terminal that is open."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
