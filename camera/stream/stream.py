"""Stream of frames from one or several sources: live sources drop old frames, files are never skipped."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from types import TracebackType

from pcedge.errors import CameraError

from ..frames import Frame
from ..sources.base import DEFAULT_OPEN_S, Source
from ..util.supervisor import Supervised
from .reader import Reader
from .state import CameraStatus

_STEP_S = 0.1
_WATCH_S = 0.2
_OPEN_S = 20.0
_JOIN_S = 1.5
# Cameras that expose at the same moment deliver within about this time of each other.
_TOGETHER_S = 0.002


class Stream:
    """The frames of one or several sources; a context manager::

        with Stream(open_source("0")) as stream:
            for frame in stream:
                ...

        with Stream({"left": open_source("0"), "right": open_source("1")}) as stream:
            for frames in stream.batches(2):
                ...

    Every source is read by its own thread into a buffer for one frame. For a live source a newer frame
    replaces the older one: the iteration always returns the newest, and replaced frames are counted. Any
    other source waits until its frame is taken, and nothing is dropped. A watchdog restarts a live source
    that stalls, with growing pauses.

    The iteration ends when all sources have ended, after :meth:`stop`, or when the time is over. A permanent
    failure in a reader thread is raised by the iteration: at once if it is a bug, otherwise when no other
    source is left. Leaving the block takes less than 2 s even if a driver hangs; the source is then closed by
    its thread once the driver returns.

    Args:
        sources: One source, or several by camera name; not yet opened.
        stall_s: Seconds without an image after which a live source is restarted, and after which a frame is
            too old to be judged; 0 for never.
        open_s: Seconds that the driver of a network camera may take to open it.
    """

    def __init__(
        self,
        sources: Source | Mapping[str, Source],
        *,
        stall_s: float = 10.0,
        open_s: float = DEFAULT_OPEN_S,
    ) -> None:
        self._changed = threading.Condition()
        named = sources if isinstance(sources, Mapping) else {"": sources}
        self._readers = [
            Reader(source, self._changed, name, stall_s, open_s) for name, source in named.items()
        ]
        self._stopped = False
        self._deadline: float | None = None
        self._turn = 0
        self._closed = threading.Event()
        self._watchdog = Supervised("watchdog", self._watch_over)

    @property
    def name(self) -> str:
        """Names of the sources; safe to print."""
        return ", ".join(reader.name for reader in self._readers)

    @property
    def live(self) -> bool:
        """Whether any source is live."""
        return any(reader.live for reader in self._readers)

    @property
    def live_names(self) -> frozenset[str]:
        """Names of the live cameras."""
        return frozenset(reader.name for reader in self._readers if reader.live)

    @property
    def received(self) -> int:
        """Number of frames received, faults included; for files, frames taken."""
        return sum((r.slot.received if r.live else r.slot.taken).total for r in self._readers)

    @property
    def dropped(self) -> int:
        """Number of frames replaced by a newer one before they were taken."""
        return sum(reader.slot.dropped.total for reader in self._readers)

    @property
    def cameras(self) -> tuple[CameraStatus, ...]:
        """Status of every camera."""
        with self._changed:
            return tuple(reader.status() for reader in self._readers)

    def __enter__(self) -> Stream:
        for reader in self._readers:
            reader.start()
        try:
            self._await_opening()
        except BaseException:
            self._close()
            raise
        self._watchdog.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def stop(self) -> None:
        """End the iteration within about 0.1 s; signal handlers and other threads may call this."""
        # Only a flag: taking a lock in a signal handler can deadlock with the code it interrupted.
        self._stopped = True

    def stop_after(self, seconds: float) -> None:
        """End the iteration ``seconds`` from now, whether or not a frame arrives."""
        self._deadline = time.monotonic() + seconds

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames one by one; see the class for how it ends.

        Raises:
            CameraError: No source is left, and one has failed permanently.
        """
        for frames in self.batches(1):
            yield from frames

    def batches(self, most: int, limit: int | None = None) -> Iterator[list[Frame]]:
        """Yield up to ``most`` available frames, at most one per source; an empty list after 0.1 s.

        Args:
            most: Maximum number of frames in a batch.
            limit: Number of frames after which to end; None for no limit.

        Raises:
            CameraError: No source is left, and one has failed permanently.
        """
        left = limit
        while not self._over() and left != 0:
            frames = self._take(most if left is None else min(most, left))
            if frames is None:
                return
            left = None if left is None else left - len(frames)
            yield frames

    def _over(self) -> bool:
        late = self._deadline is not None and time.monotonic() >= self._deadline
        return self._stopped or late

    def _take(self, most: int) -> list[Frame] | None:
        """Return the available frames, after a short wait if there are none; None at the end."""
        with self._changed:
            if not self._ready():
                if all(reader.ended for reader in self._readers):
                    self._raise_failures(CameraError)
                    return None
                for reader in self._readers:
                    reader.slot.ask()
                self._changed.wait(_STEP_S)
            self._raise_failures()
            self._await_others(most)
            self._turn += 1
            order = self._readers[self._turn % len(self._readers) :] + self._readers
            frames: list[Frame] = []
            for reader in order[: len(self._readers)]:
                if len(frames) < most and (frame := reader.slot.take()) is not None:
                    frames.append(frame)
            self._changed.notify_all()
            return frames

    def _await_others(self, most: int) -> None:
        """Wait briefly for cameras that are exposed at the same time, so that they share a batch."""
        slots = [reader.slot for reader in self._readers if reader.live and not reader.ended]
        due = [slot for slot in slots if not slot.ready and slot.due(_TOGETHER_S)]
        if most > 1 and due and self._ready():
            self._changed.wait_for(lambda: all(slot.ready for slot in due), _TOGETHER_S)

    def _ready(self) -> bool:
        return any(reader.slot.ready for reader in self._readers)

    def _raise_failures(self, *also: type[BaseException]) -> None:
        """Raise the error of a reader; a ``CameraError`` only if it is one of ``also``."""
        for reader in self._readers:
            error = reader.error
            if error is None or reader.slot.ready:
                continue
            if not isinstance(error, CameraError) or isinstance(error, also):
                raise error

    def _await_opening(self) -> None:
        """Wait until every source is opened; fail if none could be, or if a non-renewable one could not.

        With several cameras, a missing one is retried like a lost one.
        """
        with self._changed:
            self._changed.wait_for(lambda: all(r.opened or r.ended for r in self._readers), _OPEN_S)
            missing = [reader for reader in self._readers if not reader.opened]
            for reader in missing:
                error = reader.error
                known = error is None or isinstance(error, CameraError)
                if len(missing) == len(self._readers) or not reader.renewable or not known:
                    raise error or CameraError(
                        f"{reader.name}: did not open within {_OPEN_S:g} s.",
                        "Check that it answers, and that no other program uses it.",
                    )
                if isinstance(error, CameraError):
                    reader.retry(error.what)

    def _watch_over(self) -> None:
        """Restart stalled sources; runs in its own thread until the stream is closed."""
        while not self._closed.wait(_WATCH_S):
            with self._changed:
                for reader in self._readers:
                    reader.watch_over()

    def _close(self) -> None:
        self.stop()
        self._closed.set()
        for reader in self._readers:
            reader.stop()
        with self._changed:
            self._changed.notify_all()
        until = time.monotonic() + _JOIN_S
        for reader in self._readers:
            reader.join(until - time.monotonic())
        self._watchdog.end(_JOIN_S)
