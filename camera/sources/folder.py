"""Folder source: watches a folder for new images, without reading incomplete files."""

from __future__ import annotations

import os
import time
from collections import deque
from dataclasses import dataclass
from errno import ENOENT
from hashlib import sha256
from itertools import count
from pathlib import Path

from pcedge.errors import CameraError, ImageError

from ..frames import Frame
from ..images import is_image_name, natural_key, read_image
from ..util.addresses import printable
from ..util.file_identity import identity_of
from .base import DEFAULT_SETTLE_S, NoFrame, frame_name
from .folders.changes import FolderChanges
from .folders.journal import Journal
from .folders.scan import Scan, State, scan, state_of
from .folders.writer import FileWriter, writer_of
from .kind import SourceKind, SourceOptions, scheme_of

_AWAY_POLL_S = 0.5
# While a file is not complete.
_WAITING_POLL_S = 0.1
# What is told of comes at once; this is how often the folder itself is looked for.
_IDLE_S = 0.5
# Number of keys of removed files in the journal before they are dropped.
_GONE_FILES_KEPT = 10_000
# A file that cannot be decoded may still be written, by a program that closes it in between.
_UNDECODABLE_S = 2.0
_OVERWRITTEN = "overwritten before they were read"


@dataclass
class _Waiting:
    """A file that is not delivered yet.

    Attributes:
        state: Its last state.
        since: Since when it is unchanged.
        complete: Whether nobody writes it any more.
        undecodable: Whether it was tried and could not be decoded.
    """

    state: State
    since: float
    complete: bool = False
    undecodable: bool = False


class FolderSource:
    """The images in a folder: first the existing ones by name, then new ones as they arrive.

    A file is delivered as soon as nobody has it open for writing: when its writer closes it, or at once when
    it was renamed into place. Where the system does not say (network shares, files of others), it must be
    unchanged for ``unchanged_s``. A file that stays undecodable for ``settle_s`` is delivered as a frame with
    ``fault`` set, and so is an image that was overwritten before it could be read. A file that is written
    again later counts as new. Hidden files, names that end like temporary ones and other kinds of file are
    passed over, and counted. A folder that cannot be read for a while, a share perhaps, is a frame with
    ``fault`` set, once, and is looked for until it is back.

    Args:
        path: The folder.
        follow: Wait for new images; False ends after the images that exist at the start.
        settle_s: Seconds that a file may stay unchanged and undecodable before it is a fault.
        done: Keys of files that were judged already, for example before a restart; they are skipped.
        unchanged_s: Seconds that a file must be unchanged where the system does not say who writes it.
        recursive: Watch subfolders too; names are then paths below the folder.

    Attributes:
        passed_over: Number of skipped files.
        away: Why the folder cannot be read now; empty while it can.
    """

    live = False

    def __init__(
        self,
        path: str | Path,
        *,
        follow: bool = True,
        settle_s: float = _UNDECODABLE_S,
        done: Journal | None = None,
        unchanged_s: float = DEFAULT_SETTLE_S,
        recursive: bool = False,
    ) -> None:
        self.passed_over = 0
        self.away = ""
        self._done = done
        self.name = printable(f"folder:{path}")
        self._path = Path(path)
        self._follow = follow
        self._settle_s = settle_s
        self._indices = count()
        self._initial: set[str] = set()
        self._unchanged_s = unchanged_s
        self._recursive = recursive
        self._found = Scan()
        self._overwritten = 0
        self._faults: deque[Frame] = deque()
        self._changes: FolderChanges | None = None
        self._taken: dict[str, State] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._ready: deque[str] = deque()
        self._next_look = 0.0
        self._identity: tuple[int, int] | None = None
        self._watched: tuple[int, int] | None = None
        self._digest = _digest(str(self._path.resolve()))[:8]

    def __enter__(self) -> FolderSource:
        if not self._path.is_dir():
            raise CameraError(f"{self._path}: no such folder.", "Create it, or check the path.")
        self._identity = identity_of(self._path)
        self._initial = set(self._scan())
        self._look()
        return self

    def __exit__(self, *_: object) -> None:
        self._ready.clear()
        self._changes = None

    @property
    def left_out(self) -> dict[str, int]:
        """What is in the folder and is not judged: how many, by reason."""
        lost = {_OVERWRITTEN: self._overwritten} if self._overwritten else {}
        return {**self._found.passed_over, **lost}

    def read(self, timeout_s: float) -> Frame | NoFrame:
        """Return the next complete image, waiting about ``timeout_s``; a fault when the folder is lost.

        Raises:
            CameraError: The folder cannot be read any more, and new files are not waited for.
        """
        give_up_at = time.monotonic() + timeout_s
        while True:
            if self._faults:
                return self._faults.popleft()
            while self._ready:
                if frame := self._frame(self._ready.popleft()):
                    return frame
            if not self._follow and not self._waiting:
                return NoFrame.END
            if (now := time.monotonic()) >= self._next_look:
                if fault := self._looked(self._waited(0.0)):
                    return fault
            elif now >= give_up_at:
                return NoFrame.YET
            else:
                pause_s = min(self._next_look, give_up_at) - now
                if (changed := self._waited(pause_s)) != set() and (fault := self._looked(changed)):
                    return fault

    def _waited(self, seconds: float) -> set[str] | None:
        """Wait for changes; returns what must be looked at again, None for the whole folder."""
        if self._changes is None or self.away:
            time.sleep(seconds)
            return None if seconds == 0 else set()
        return self._changes.wait(seconds)

    def _looked(self, changed: set[str] | None) -> Frame | None:
        """Look at the folder, or at what has changed; a fault if it cannot be read, and could be before."""
        if changed == set() and not self._waiting and identity_of(self._path) == self._watched:
            self._next_look = time.monotonic() + _IDLE_S
            return None
        try:
            self._look(changed)
        except CameraError as error:
            if not self._follow:
                raise
            self._next_look = time.monotonic() + _AWAY_POLL_S
            known, self.away = self.away, printable(error.what)
            self._changes = None
            return None if known else self._fault(self.away)
        self.away = ""
        return None

    def _fault(self, text: str) -> Frame:
        index = next(self._indices)
        return Frame(self.name, index, frame_name(index), time.time(), None, text)

    def _look(self, changed: set[str] | None = None) -> None:
        """Look for new, changed, removed and complete files."""
        states = self._scan() if changed is None or self._must_scan(changed) else self._updated(changed)
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
        self._note_overwritten(before)
        self._ready = deque(sorted(filter(self._is_complete, self._waiting), key=self._turn))
        self._next_look = now + (_WAITING_POLL_S if self._waiting else _IDLE_S)

    def _must_scan(self, changed: set[str]) -> bool:
        """Whether looking at single files is not enough."""
        # The system's words are UTF-8; names that are not cannot be told.
        if any("\ufffd" in name for name in changed):
            return True
        folders = self._recursive and any(not is_image_name(Path(name).name) for name in changed)
        return folders or "." in changed or identity_of(self._path) != self._watched

    def _updated(self, changed: set[str]) -> dict[str, State]:
        """The states after the last look, with what has changed since."""
        states = dict(self._found.states)
        for name in changed | set(self._waiting):
            if is_image_name(Path(name).name) and not name.startswith(".."):
                states.pop(name, None)
                if (state := self._state_now(name)) is not None:
                    states[name] = state
        self._found.states = states
        return states

    def _state_now(self, name: str) -> State | None:
        try:
            return state_of(self._path / name)
        except OSError as error:
            raise self._unreadable(error) from error

    def _is_complete(self, name: str) -> bool:
        waiting = self._waiting[name]
        if not waiting.complete:
            unchanged_s = time.monotonic() - waiting.since
            writer = writer_of(self._path / name)
            settled = writer is FileWriter.UNKNOWN and unchanged_s >= self._unchanged_s
            waiting.complete = writer is FileWriter.NONE or settled
        return waiting.complete

    def _note_overwritten(self, before: dict[str, _Waiting]) -> None:
        """Images that were complete, or are another file now, and were not read."""
        for name, old in before.items():
            new = self._waiting.get(name)
            if new is None or new is old:
                continue
            if new.state[2] != old.state[2] or (old.complete and not old.undecodable):
                self._overwritten += 1
                fault = f"{printable(name)} was overwritten before it was read"
                self._faults.append(self._fault(fault))

    def _pass_over(self, states: dict[str, State]) -> None:
        """Skip files that were judged before."""
        if self._done is None:
            return
        for name, state in states.items():
            new = self._taken.get(name) != state and name not in self._waiting
            if new and self._was_judged(name, state):
                self._taken[name] = state
                self.passed_over += 1
        # An empty place where a share was mounted is another folder, and says nothing of the files.
        same = bool(states) and identity_of(self._path) == self._identity
        if same and len(self._done) > 2 * len(states) + _GONE_FILES_KEPT:
            there = [self._key(name, state) for name, state in self._taken.items()]
            self._done.forget_others(f"file-{self._digest}-", there)

    def _was_judged(self, name: str, state: State) -> bool:
        assert self._done is not None
        # Journals of earlier versions do not tell files of the same time and size apart.
        old = name in self._initial and self._key(name, state[:2]) in self._done
        return old or self._key(name, state) in self._done

    def _key(self, name: str, state: tuple[int, ...]) -> str:
        """Return the unique key of this version of a file."""
        identity = "/".join((name, *map(str, state)))
        return f"file-{self._digest}-{_digest(identity)[:16]}"

    def _turn(self, name: str) -> tuple[int, tuple[list[tuple[str, int]], str]]:
        arrived_ns = 0 if name in self._initial else self._waiting[name].state[0]
        return arrived_ns, natural_key(name)

    def _scan(self) -> dict[str, State]:
        self._watch_it()
        began_s = time.monotonic()
        try:
            before = identity_of(self._path)
            found = scan(self._path, recursive=self._recursive)
            # Of a folder that goes away meanwhile the files seem to be removed: what is known of them, and
            # that they were judged, must not be forgotten.
            if before is None or identity_of(self._path) != before:
                raise FileNotFoundError(ENOENT, os.strerror(ENOENT))
        except OSError as error:
            raise self._unreadable(error) from error
        self._found = found
        if self._changes is not None:
            self._changes.scanned(time.monotonic() - began_s)
        return found.states

    def _watch_it(self) -> None:
        """Be told of changes, from before the scan on; anew when the folder is another one."""
        identity = identity_of(self._path)
        if self._follow and identity is not None and (self._changes is None or identity != self._watched):
            self._changes, self._watched = FolderChanges(self._path, recursive=self._recursive), identity

    def _unreadable(self, error: OSError) -> CameraError:
        return CameraError(
            f"{self._path}: the watched folder cannot be read any more: {error.strerror}.",
            "Check that it still exists and, on a network, that it is mounted.",
        )

    def _frame(self, name: str) -> Frame | None:
        """Read a file; None if it is not complete yet."""
        path, waiting = self._path / name, self._waiting[name]
        image_rgb, fault = None, ""
        try:
            image_rgb = read_image(path)
        except ImageError as error:
            fault = printable(error.what)
            waiting.undecodable = True
            if time.monotonic() - waiting.since < self._settle_s:
                return None
        if not _is_still(path, waiting.state):
            return None
        del self._waiting[name]
        self._taken[name] = waiting.state
        self._initial.discard(name)
        key = self._key(name, waiting.state)
        return Frame(self.name, next(self._indices), printable(name), time.time(), image_rgb, fault, key)


def _digest(text: str) -> str:
    return sha256(text.encode(errors="surrogateescape")).hexdigest()


def _is_still(path: Path, state: State) -> bool:
    try:
        return state_of(path) == state
    except OSError:
        return False


def _is_folder(uri: str) -> bool:
    named = scheme_of(uri) == "folder" and uri != "folder:"
    return named or (bool(uri) and "://" not in uri and Path(uri).is_dir())


def _open(uri: str, asked: SourceOptions) -> FolderSource:
    path = uri[len("folder:") :] if scheme_of(uri) == "folder" else uri
    return FolderSource(
        path,
        follow=asked.follow,
        settle_s=max(_UNDECODABLE_S, asked.settle_s),
        done=asked.done,
        unchanged_s=asked.settle_s,
        recursive=asked.recursive,
    )


KIND = SourceKind("folder:DIR", _is_folder, _open, is_path=True)
