"""Folder source: watches a folder for new images, without reading incomplete files."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from dataclasses import dataclass
from errno import ELOOP, ENOENT
from hashlib import sha256
from itertools import count
from pathlib import Path
from stat import S_ISREG

from pcedge.errors import CameraError, ImageError

from ..frames import Frame
from ..images import is_image_name, natural_key, read_image, why_no_image
from ..util.addresses import printable
from ..util.file_identity import identity_of
from .base import NoFrame, frame_name
from .journal import Journal
from .kind import SourceKind, SourceOptions, scheme_of

_POLL_S = 0.2
_AWAY_POLL_S = 0.5
# Number of keys of removed files in the journal before they are dropped.
_GONE_FILES_KEPT = 10_000
_State = tuple[int, int]


@dataclass(frozen=True)
class _Waiting:
    """A file that is not delivered yet: its last state, and since when it is unchanged."""

    state: _State  # modification time in ns, size in bytes
    since: float


class FolderSource:
    """The images in a folder: first the existing ones by name, then new ones as they arrive.

    A file is delivered when two scans of the folder, 0.2 s apart, find the same size and modification time
    and it can be decoded. A file that stays unchanged for ``settle_s`` and still cannot be decoded is
    delivered as a frame with ``fault`` set. A file that is written again later counts as new; one that
    disappears before it is delivered (renamed, removed) is skipped. Hidden files,
    names that end like temporary ones and other kinds of file are ignored. A folder that cannot be read for a
    while, a share perhaps, is a frame with ``fault`` set, once, and is looked for until it is back.

    Args:
        path: The folder; subfolders are ignored.
        follow: Wait for new images; False ends after the images that exist at the start.
        settle_s: Seconds that a file may stay unchanged and undecodable before it is a fault.
        done: Keys of files that were judged already, for example before a restart; they are skipped.

    Attributes:
        passed_over: Number of skipped files.
        left_out: What else was in the folder when it was opened, and is not judged: how many, by reason.
        away: Why the folder cannot be read now; empty while it can.
    """

    live = False

    def __init__(
        self,
        path: str | Path,
        *,
        follow: bool = True,
        settle_s: float = 2.0,
        done: Journal | None = None,
    ) -> None:
        self.passed_over = 0
        self.left_out: dict[str, int] = {}
        self.away = ""
        self._done = done
        self.name = printable(f"folder:{path}")
        self._path = Path(path)
        self._follow = follow
        self._settle_s = settle_s
        self._indices = count()
        self._initial: set[str] = set()
        self._taken: dict[str, _State] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._ready: deque[str] = deque()
        self._next_look = 0.0
        self._identity: tuple[int, int] | None = None
        self._digest = _digest(str(self._path.resolve()))[:8]

    def __enter__(self) -> FolderSource:
        if not self._path.is_dir():
            raise CameraError(f"{self._path}: no such folder.", "Create it, or check the path.")
        self._identity = identity_of(self._path)
        self._initial = set(self._scan())
        self.left_out = _left_out(self._path)
        self._look()
        return self

    def __exit__(self, *_: object) -> None:
        self._ready.clear()

    def read(self, timeout_s: float) -> Frame | NoFrame:
        """Return the next complete image, waiting about ``timeout_s``; a fault when the folder is lost.

        Raises:
            CameraError: The folder cannot be read any more, and new files are not waited for.
        """
        give_up_at = time.monotonic() + timeout_s
        while True:
            while self._ready:
                if frame := self._frame(self._ready.popleft()):
                    return frame
            if not self._follow and not self._waiting:
                return NoFrame.END
            now = time.monotonic()
            if now >= self._next_look:
                if fault := self._looked():
                    return fault
            elif now >= give_up_at:
                return NoFrame.YET
            else:
                time.sleep(min(self._next_look, give_up_at) - now)

    def _looked(self) -> Frame | None:
        """Scan the folder; a fault if it cannot be read, and could be before."""
        try:
            self._look()
        except CameraError as error:
            if not self._follow:
                raise
            self._next_look = time.monotonic() + _AWAY_POLL_S
            known, self.away = self.away, printable(error.what)
            return None if known else self._fault(self.away)
        self.away = ""
        return None

    def _fault(self, text: str) -> Frame:
        index = next(self._indices)
        return Frame(self.name, index, frame_name(index), time.time(), None, text)

    def _look(self) -> None:
        """Scan the folder for new, changed, removed and unchanged files."""
        states = self._scan()
        if not self._follow:
            states = {name: state for name, state in states.items() if name in self._initial}
        self._taken = {name: state for name, state in self._taken.items() if name in states}
        before, now = self._waiting, time.monotonic()
        self._pass_over(states)
        self._waiting = {
            name: known if (known := before.get(name)) and known.state == state else _Waiting(state, now)
            for name, state in states.items()
            if self._taken.get(name) != state
        }
        unchanged = [name for name in self._waiting if before.get(name) is self._waiting[name]]
        self._ready.extend(sorted(unchanged, key=self._turn))
        self._next_look = time.monotonic() + _POLL_S

    def _pass_over(self, states: dict[str, _State]) -> None:
        """Skip files that were judged before."""
        if self._done is None:
            return
        for name, state in states.items():
            new = self._taken.get(name) != state and name not in self._waiting
            if new and self._key(name, state) in self._done:
                self._taken[name] = state
                self.passed_over += 1
        # An empty place where a share was mounted is another folder, and says nothing of the files.
        same = bool(states) and identity_of(self._path) == self._identity
        if same and len(self._done) > 2 * len(states) + _GONE_FILES_KEPT:
            there = [self._key(name, state) for name, state in self._taken.items()]
            self._done.forget_others(f"file-{self._digest}-", there)

    def _key(self, name: str, state: _State) -> str:
        """Return the unique key of this version of a file."""
        identity = "/".join((name, *map(str, state)))
        return f"file-{self._digest}-{_digest(identity)[:16]}"

    def _turn(self, name: str) -> tuple[int, tuple[list[tuple[str, int]], str]]:
        arrived_ns = 0 if name in self._initial else self._waiting[name].state[0]
        return arrived_ns, natural_key(name)

    def _scan(self) -> dict[str, _State]:
        try:
            before = identity_of(self._path)
            with os.scandir(self._path) as entries:
                found = [(e.name, _state(e)) for e in entries if is_image_name(e.name)]
            # Of a folder that goes away meanwhile the files seem to be removed: what is known of them, and
            # that they were judged, must not be forgotten.
            if before is None or identity_of(self._path) != before:
                raise FileNotFoundError(ENOENT, os.strerror(ENOENT))
        except OSError as error:
            raise CameraError(
                f"{self._path}: the watched folder cannot be read any more: {error.strerror}.",
                "Check that it still exists and, on a network, that it is mounted.",
            ) from error
        return {name: state for name, state in found if state is not None}

    def _frame(self, name: str) -> Frame | None:
        """Read a file; None if it is not complete yet."""
        path, waiting = self._path / name, self._waiting[name]
        image_rgb, fault = None, ""
        try:
            image_rgb = read_image(path)
        except ImageError as error:
            fault = printable(error.what)
            if time.monotonic() - waiting.since < self._settle_s:
                return None
        if not _is_still(path, waiting.state):
            return None
        del self._waiting[name]
        self._taken[name] = waiting.state
        self._initial.discard(name)
        key = self._key(name, waiting.state)
        return Frame(self.name, next(self._indices), printable(name), time.time(), image_rgb, fault, key)


def _left_out(folder: Path) -> dict[str, int]:
    try:
        with os.scandir(folder) as entries:
            reasons = Counter(filter(None, map(why_no_image, entries)))
    except OSError:  # gone again already: looking for it finds that out
        return {}
    return dict(reasons)


def _digest(text: str) -> str:
    return sha256(text.encode(errors="surrogateescape")).hexdigest()


def _state(file: Path | os.DirEntry[str]) -> _State | None:
    """Return the state of a file; None if it does not exist or is not a regular file.

    Raises:
        OSError: It cannot be known, as on a share that is going away.
    """
    try:
        stat = file.stat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except OSError as error:
        if error.errno == ELOOP:  # a link to itself
            return None
        raise
    return (stat.st_mtime_ns, stat.st_size) if S_ISREG(stat.st_mode) else None


def _is_still(path: Path, state: _State) -> bool:
    try:
        return _state(path) == state
    except OSError:
        return False


def _is_folder(uri: str) -> bool:
    named = scheme_of(uri) == "folder" and uri != "folder:"
    return named or (bool(uri) and "://" not in uri and Path(uri).is_dir())


def _open(uri: str, asked: SourceOptions) -> FolderSource:
    path = uri[len("folder:") :] if scheme_of(uri) == "folder" else uri
    return FolderSource(path, follow=asked.follow, done=asked.done)


KIND = SourceKind("folder:DIR", _is_folder, _open, is_path=True)
