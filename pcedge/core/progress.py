"""How long-running calls say how far they are, without knowing who listens."""

from collections.abc import Callable

# (stage, steps done, steps in all)
Progress = Callable[[str, int, int], None]


def silent(stage: str, done: int, total: int) -> None:
    """Listen to nothing."""
