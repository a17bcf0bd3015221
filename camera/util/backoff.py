"""Pauses that grow while something keeps failing."""

from __future__ import annotations


class Backoff:
    """Pauses in seconds, each twice the one before up to a longest one.

    Args:
        first_s: The first pause.
        longest_s: No pause is longer.
    """

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._next_s = first_s

    def next_s(self) -> float:
        """The pause to make now."""
        pause_s = self._next_s
        self._next_s = min(2 * pause_s, self._longest_s)
        return pause_s

    def reset(self) -> None:
        """Begin again with the first pause: it worked."""
        self._next_s = self._first_s
