"""What changes in a folder: told by the system where it can, otherwise looked for."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

# Of these the system tells only what this machine itself changes.
_SHARES = ("nfs", "cifs", "smb", "9p", "fuse", "afs", "ceph", "glusterfs", "virtiofs", "vboxsf", "ncp")
# A scan may take this share of the time.
_SHARE_OF_TIME = 0.015
_POLL_S, _LONGEST_POLL_S = 0.2, 30.0
_TOLD_MS = 20


class FolderChanges:
    """Tells when a folder must be scanned.

    Where the system tells what changes (inotify and its kind, by watchfiles) nothing is looked for meanwhile.
    A network share is scanned five times a second; more rarely when a scan takes long, so that many files
    cost little, except where the time of the folder itself shows that something has come.

    Args:
        path: The folder.
        recursive: Whether subfolders count.
    """

    def __init__(self, path: Path, *, recursive: bool) -> None:
        self._next_s = 0.0
        self._folder_ns = 0
        self._path = path
        self._place = path.resolve()
        self._recursive = recursive
        self._told: Iterator[Iterable[tuple[object, str]]] | None = None if _is_share(path) else self._watch()
        if self._told is not None:
            self.wait(0.0)  # it listens from here on

    def wait(self, seconds: float) -> set[str] | None:
        """Wait for a change, at most so long.

        Returns:
            Paths that have changed, relative to the folder; None if all must be scanned.
        """
        if self._told is not None:
            try:
                return {os.path.relpath(path, self._place) for _, path in next(self._told, ())}
            except (OSError, RuntimeError):  # the folder has gone, or the system watches no more of them
                self._told = None
                return None
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < self._next_s and not self._folder_has_changed():
            if now >= until:
                return set()
            time.sleep(min(_POLL_S, max(0.0, until - now)))
        return None

    def scanned(self, took_s: float) -> None:
        """Say that the folder was scanned, and how long that took."""
        pause_s = min(max(_POLL_S, took_s / _SHARE_OF_TIME), _LONGEST_POLL_S)
        self._next_s = time.monotonic() + pause_s
        self._folder_ns = self._time_ns()

    def _watch(self) -> Iterator[Iterable[tuple[object, str]]]:
        from watchfiles import watch

        return watch(
            self._place,
            watch_filter=None,
            debounce=_TOLD_MS,
            step=_TOLD_MS // 2,
            rust_timeout=50,
            yield_on_timeout=True,
            recursive=self._recursive,
            raise_interrupt=False,
            ignore_permission_denied=True,
        )

    def _folder_has_changed(self) -> bool:
        return self._time_ns() != self._folder_ns

    def _time_ns(self) -> int:
        try:
            return self._path.stat().st_mtime_ns
        except OSError:
            return -1


def _is_share(path: Path) -> bool:
    place = path.resolve()
    mounts = {Path(one.mountpoint): one.fstype for one in psutil.disk_partitions(all=True)}
    kind = next((mounts[one] for one in (place, *place.parents) if one in mounts), "")
    return kind.startswith(_SHARES)
