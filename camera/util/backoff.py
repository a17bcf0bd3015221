"""Exponential back-off."""

from __future__ import annotations


class Backoff:
    """Exponential back-off: each pause is twice the previous one, up to a maximum.

    Args:
        first_s: First pause in seconds.
        longest_s: Maximum pause in seconds.
    """

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._next_s = first_s

    def next_s(self) -> float:
        """Return the next pause in seconds."""
        pause_s = self._next_s
        self._next_s = min(2 * pause_s, self._longest_s)
        return pause_s

    def reset(self) -> None:
        """Start again with the first pause, after a success."""
        self._next_s = self._first_s
