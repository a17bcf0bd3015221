"""How long files are kept: by age, by count, and as long as the disk has room."""

from __future__ import annotations

import math
import os
import re
import shutil
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import groupby
from pathlib import Path

from pcedge.errors import OutputError

_STAMP = r"\d{8}T\d{6}\.\d{6}"
PICTURE_NAMES = re.compile(rf"({_STAMP}-[A-Za-z0-9-]+-(?:OK|REVIEW|NG|INVALID))(?:\.png|-heatmap\.jpg)")
CLIP_NAMES = re.compile(rf"({_STAMP}-[A-Za-z0-9-]+-clip)\.avi")
# As images and clips are called while they are written, with the number of the process.
_UNFINISHED = re.compile(rf"\.{_STAMP}-.*\.(\d+)(?:-\d+)?\.tmp(?:\.avi)?")
_LOOK_EVERY_S = 60.0
_UNFINISHED_FOR_S = 60.0
# Freeing a little more than asked for saves looking through the folder at every image.
_HYSTERESIS = 1.02


@dataclass(frozen=True)
class Retention:
    """When the oldest files go; None never.

    Attributes:
        max_age_days: Files of frames captured longer ago go.
        max_count: More frames than this are not kept.
        min_free_bytes: The oldest go while the disk has less room than this; where that is not enough,
            nothing more is written.
    """

    max_age_days: float | None = None
    max_count: int | None = None
    min_free_bytes: int | None = None


class Keeper:
    """Keeps a folder within its :class:`Retention`.

    Only plain files directly in the folder whose names this project gives are ever deleted; they begin
    with the time of capture, which tells their age and order.

    Args:
        folder: Made by :meth:`make_room` if it is missing.
        names: Matches the whole name of a file that may go; its first group is the same for all files of
            one frame.
        retention: The limits.
    """

    def __init__(self, folder: Path, names: re.Pattern[str], retention: Retention) -> None:
        self._folder = folder
        self._names = names
        self._retention = retention
        self._next_look = 0.0

    def make_room(self) -> None:
        """Delete what is too old or too much; called before a file is written, it looks once a minute.

        Raises:
            OutputError: The folder cannot be made or listed, or the disk has no room even so.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if time.monotonic() >= self._next_look:
                self._next_look = time.monotonic() + _LOOK_EVERY_S
                self._thin_out()
            self._free_the_disk()
        except OSError as error:
            raise OutputError(
                f"{self._folder}: cannot be made or tidied: {error.strerror}.",
                "Name a folder that may be written to.",
            ) from error

    def _thin_out(self) -> None:
        self._remove_unfinished()
        limits = self._retention
        if limits.max_age_days is None and limits.max_count is None:
            return
        frames = self._oldest_first()
        surplus = len(frames) - limits.max_count if limits.max_count is not None else 0
        too_old = time.time() - (limits.max_age_days or 0) * 86400
        for number, files in enumerate(frames):
            if number < surplus or (limits.max_age_days is not None and _captured_at(files[0]) < too_old):
                _delete(files)

    def _remove_unfinished(self) -> None:
        """Remove what a kill left half written."""
        before = time.time() - _UNFINISHED_FOR_S
        for path in self._folder.glob(".*.tmp*"):
            left = _UNFINISHED.fullmatch(path.name)
            if left and int(left[1]) != os.getpid() and path.stat().st_mtime < before:
                path.unlink(missing_ok=True)

    def _free_the_disk(self) -> None:
        wanted = self._retention.min_free_bytes
        if wanted is None or self._free_bytes() >= wanted:
            return
        for files in self._oldest_first():
            _delete(files)
            if self._free_bytes() >= wanted * _HYSTERESIS:
                return
        if self._free_bytes() >= wanted:
            return
        raise OutputError(
            f"{self._folder}: the disk has less than {wanted / 1e9:.3g} GB left, and nothing here may go.",
            "Make room on it, or lower min_free_gb.",
        )

    def _free_bytes(self) -> int:
        return shutil.disk_usage(self._folder).free

    def _oldest_first(self) -> list[list[Path]]:
        """Files of ours, those of one frame together."""
        with os.scandir(self._folder) as entries:
            ours = [
                (match[1], entry.name)
                for entry in entries
                if (match := self._names.fullmatch(entry.name)) and entry.is_file(follow_symlinks=False)
            ]
        together = groupby(sorted(ours), key=lambda one: one[0])
        return [[self._folder / name for _, name in files] for _, files in together]


def _captured_at(path: Path) -> float:
    try:
        stamp = datetime.strptime(path.name[:22], "%Y%m%dT%H%M%S.%f")
    except ValueError:  # digits that are no date: not a name of ours after all
        return math.inf
    return stamp.replace(tzinfo=timezone.utc).timestamp()


def _delete(files: list[Path]) -> None:
    for path in files:
        path.unlink(missing_ok=True)
