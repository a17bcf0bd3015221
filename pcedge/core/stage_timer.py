"""A timer that records the seconds each stage of a call takes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class StageTimer:
    """Collects seconds by stage.

    Attributes:
        seconds: Stage to seconds, in order of first use.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block."""
        began = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began
