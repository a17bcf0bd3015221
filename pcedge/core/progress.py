"""Progress callbacks of long-running calls."""

from collections.abc import Callable

# A progress callback: (stage, steps done, total steps).
Progress = Callable[[str, int, int], None]


def silent(stage: str, done: int, total: int) -> None:
    """A progress callback that does nothing."""
