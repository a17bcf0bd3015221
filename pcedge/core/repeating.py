"""Something done again and again in a thread of its own, while a block lasts."""

import threading
from collections.abc import Callable
from types import TracebackType


class Repeating:
    """Calls something every so often, until the block is left; it must not raise.

    Args:
        action: What is called, the first time after ``every_s``.
        every_s: The pause between two calls.
        name: That of the thread.
        ends_within_s: How long leaving the block waits for a call that is still running.
    """

    def __init__(
        self, action: Callable[[], None], every_s: float, *, name: str, ends_within_s: float
    ) -> None:
        self._action = action
        self._every_s = every_s
        self._ends_within_s = ends_within_s
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> "Repeating":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._thread.join(self._ends_within_s)

    def _run(self) -> None:
        while not self._closing.wait(self._every_s):
            self._action()
