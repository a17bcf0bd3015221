"""A function called periodically in a background thread."""

import threading
from collections.abc import Callable
from types import TracebackType


class Repeating:
    """Calls a function periodically until the block ends; the function must not raise.

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
