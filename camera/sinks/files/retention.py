"""Retention of files: by age, by count and by free disk space."""

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

from ...util.output_files import make_folder
from .arrivals import Arrivals

_STAMP = r"\d{8}T\d{6}\.\d{6}"
PICTURE_NAMES = re.compile(rf"({_STAMP}-[A-Za-z0-9-]+-(?:OK|REVIEW|NG|INVALID))(?:\.png|-heatmap\.jpg)")
CLIP_NAMES = re.compile(rf"({_STAMP}-[A-Za-z0-9-]+-clip)\.avi")
# Temporary names of images and clips while they are written, with the process id.
_UNFINISHED = re.compile(rf"\.{_STAMP}-.*\.(\d+)(?:-\d+)?\.tmp(?:\.avi)?")
_LOOK_EVERY_S = 60.0
_UNFINISHED_FOR_S = 60.0
# Freeing a little more than required avoids listing the folder for every image.
_HYSTERESIS = 1.02


@dataclass(frozen=True)
class Retention:
    """When the oldest files are deleted; None for no limit.

    Attributes:
        max_age_days: Files of frames that were captured longer ago are deleted.
        max_count: Maximum number of frames to keep.
        min_free_bytes: The oldest are deleted while the disk has less free space than this. If that does not
            free enough, nothing more is written.
    """

    max_age_days: float | None = None
    max_count: int | None = None
    min_free_bytes: int | None = None


class Keeper:
    """Keeps a folder within its :class:`Retention` limits.

    Only regular files directly in the folder whose names match are ever deleted. Their names begin with the
    time of capture, which gives their age. What is oldest is what came first: the clock may have been wrong.
    For a day after it has jumped ahead nothing is deleted by age.

    Args:
        folder: The folder; created by :meth:`make_room` if it is missing.
        names: Matches the full name of a file that may be deleted; the first group is the same for all files
            of a frame.
        retention: The limits.
    """

    def __init__(self, folder: Path, names: re.Pattern[str], retention: Retention) -> None:
        self._folder = folder
        self._names = names
        self._retention = retention
        self._next_look = 0.0
        self._arrivals = Arrivals(folder, _captured_at)

    def make_room(self) -> None:
        """Delete files beyond the limits; called before each write, it lists the folder once a minute.

        Raises:
            OutputError: The folder cannot be created or listed, or too little space could be freed.
        """
        try:
            make_folder(self._folder)
            if time.monotonic() >= self._next_look:
                self._next_look = time.monotonic() + _LOOK_EVERY_S
                self._thin_out()
            self._free_the_disk()
        except OSError as error:
            raise OutputError(
                f"{self._folder}: cannot be created or cleaned up: {error.strerror}.",
                "Choose a folder that is writable.",
            ) from error

    def _thin_out(self) -> None:
        self._remove_unfinished()
        limits = self._retention
        if limits.max_age_days is None and limits.max_count is None:
            return
        frames = self._oldest_first()
        surplus = len(frames) - limits.max_count if limits.max_count is not None else 0
        too_old = self._too_old()
        for number, files in enumerate(frames):
            if number < surplus or _captured_at(files[0].name) < too_old:
                _delete(files)

    def _too_old(self) -> float:
        """Unix time before which files are too old; none are while the clock may be wrong."""
        days = self._retention.max_age_days
        if days is None or not self._arrivals.clock_is_right(days * 86400):
            return -math.inf
        return time.time() - days * 86400

    def _remove_unfinished(self) -> None:
        """Remove temporary files left by a kill."""
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
            f"{self._folder}: the disk has less than {wanted / 1e9:.3g} GB left, "
            "and no file here may be deleted.",
            "Free some space on it, or lower min_free_gb.",
        )

    def _free_bytes(self) -> int:
        return shutil.disk_usage(self._folder).free

    def _oldest_first(self) -> list[list[Path]]:
        """Return the matching files, those that came first at the head, grouped by frame."""
        with os.scandir(self._folder) as entries:
            ours = [
                (match[1], entry.name)
                for entry in entries
                if (match := self._names.fullmatch(entry.name)) and entry.is_file(follow_symlinks=False)
            ]
        together = groupby(sorted(ours), key=lambda one: one[0])
        frames = {stem: [self._folder / name for _, name in files] for stem, files in together}
        return [frames[stem] for stem in self._arrivals.ordered(frames)]


def _captured_at(name: str) -> float:
    try:
        stamp = datetime.strptime(name[:22], "%Y%m%dT%H%M%S.%f")
    except ValueError:  # digits that are not a date, so not one of our names
        return math.inf
    return stamp.replace(tzinfo=timezone.utc).timestamp()


def _delete(files: list[Path]) -> None:
    for path in files:
        path.unlink(missing_ok=True)
