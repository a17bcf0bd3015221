"""Order in which files arrived in a folder, whatever the clock said then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from ...util.output_files import replace_output

ARRIVALS_FILE = ".arrivals"
# Nobody sets a clock by more while an inspection runs, unless it was wrong.
_JUMP_S = 3600.0
# How long nothing is deleted by age after the clock has jumped ahead: time for a person to see it.
_DOUBT_S = 86400.0


class Arrivals:
    """Remembers in which order the names in a folder came, in a file there if it is not that of the names.

    Names begin with the time; those of a time to come were made while the clock was ahead, before the others.

    Args:
        folder: The folder.
        time_of: Returns the Unix time that a name begins with.
    """

    def __init__(self, folder: Path, time_of: Callable[[str], float]) -> None:
        self._folder = folder
        self._time_of = time_of
        self._path = folder / ARRIVALS_FILE
        self._order: dict[str, int] | None = None
        self._seen: tuple[float, float] | None = None  # wall clock and steady clock
        self._stored_unix_s = 0.0
        self._doubt_until = 0.0

    def ordered(self, names: Iterable[str]) -> list[str]:
        """Return the names that are there, those that came first at the head; new ones by name."""
        known = self._known()
        there = set(names)
        order = [name for name in known if name in there]
        soon = time.time() + _JUMP_S
        order += sorted(there - known.keys(), key=lambda name: (self._time_of(name) < soon, name))
        if order != list(known):
            self._order = {name: number for number, name in enumerate(order)}
            if order != sorted(order):
                self._store(order)
        return order

    def clock_is_right(self, age_s: float) -> bool:
        """Whether files may be deleted by age: not for a day after the clock has jumped ahead.

        Args:
            age_s: The age; a gap of more than this since the last run counts as a jump too.
        """
        self._known()
        now, steady = time.time(), time.monotonic()
        if self._seen is not None:
            jumped = now - self._seen[0] - (steady - self._seen[1]) > _JUMP_S
        else:
            jumped = bool(self._stored_unix_s) and now - self._stored_unix_s > max(age_s, _JUMP_S)
        self._seen = (now, steady)
        if jumped:
            self._doubt_until = steady + _DOUBT_S
        return steady >= self._doubt_until

    def _known(self) -> dict[str, int]:
        if self._order is None:
            names: list[str] = []
            with suppress(OSError, ValueError):
                self._stored_unix_s = self._folder.stat().st_mtime
                names = self._path.read_text(encoding="ascii").split()
            self._order = {name: number for number, name in enumerate(names)}
        return self._order

    def _store(self, order: Iterable[str]) -> None:
        """Without room on the disk, the order is kept in memory."""
        with suppress(OSError):
            replace_output(self._path, "\n".join(order).encode("ascii"))
