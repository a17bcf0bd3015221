"""Ctrl-C where Python itself would lose it, or a library would end the process over it."""

import _thread
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_AGAIN_S = 0.05


@contextmanager
def no_interrupt_lost() -> Iterator[None]:
    """Interrupt again where Ctrl-C came in the middle of what may not raise, as a callback of an import.

    There Python prints the KeyboardInterrupt as ignored, and goes on.
    """
    before = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            # From another thread, a moment later: here it would be lost again.
            threading.Timer(_AGAIN_S, _thread.interrupt_main).start()
        else:
            before(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


@contextmanager
def interrupted_afterwards() -> Iterator[None]:
    """Raise a KeyboardInterrupt of the block at its end: in a callback of PyTorch it ends in an abort.

    Does nothing outside of the main thread, which alone gets signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: seen.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if seen and callable(before):
        before(seen[0], None)
