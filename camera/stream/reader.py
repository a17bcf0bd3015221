"""Reader thread of one camera, with restart after a stall."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from pcedge.errors import CameraError, PcedgeError

from ..frames import Frame
from ..sources.base import (
    DEFAULT_OPEN_S,
    Grabbed,
    GrabbingSource,
    LeavingSource,
    NoFrame,
    RenewableSource,
    SelectingSource,
    Source,
    frame_name,
)
from ..util.backoff import Backoff
from .latest_frame import Slot
from .state import CameraState, CameraStatus

# Between openings of a source that stalled, or could not be opened at the start.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_STEP_S = 0.1
# A driver that is told to open within open_s is a little late.
_OPEN_MARGIN_S = 2.0
# A thread that hangs in a driver cannot be ended, only abandoned; this is the maximum number.
_MOST_HANGING = 4


@dataclass(eq=False)
class _ReaderThread:
    """One run of a reader thread, which opens the source once.

    Attributes:
        source: The source, used by this thread only.
        opened: Whether it could be opened.
        returned_s: When the driver last returned, with or without an image.
        image_s: When the last image arrived.
        reopens: Whether the source is reopening the camera itself, as its last fault says.
    """

    source: Source
    opened: bool = False
    returned_s: float = field(default_factory=time.monotonic)
    image_s: float = field(default_factory=time.monotonic)
    reopens: bool = False
    thread: threading.Thread | None = None


class Reader:
    """Reads a source into a :class:`Slot`, and restarts a capture that stalls.

    Attributes:
        opened: Whether the source was ever opened.
        ended: Whether no more frames will arrive.
        error: The error that ended it; None for a normal end.

    Args:
        source: The source, not yet opened.
        changed: Condition that guards all state here; notified of every change that a consumer may wait for.
        camera: Name of the camera for the frames; empty for the name of the source.
        stall_s: A live source without an image for this long is restarted, if possible; 0 turns this off.
        open_s: Seconds that its driver may take to open it.
    """

    def __init__(
        self,
        source: Source,
        changed: threading.Condition,
        camera: str,
        stall_s: float,
        open_s: float = DEFAULT_OPEN_S,
    ) -> None:
        self.camera = camera
        self.name = camera or source.name
        self.live = source.live
        self.slot = Slot(live=source.live, stale_s=stall_s)
        self.error: BaseException | None = None
        self.ended = False
        self.opened = False
        self._stall_s = stall_s if source.live else 0.0
        self._open_s = open_s + _OPEN_MARGIN_S
        self._changed = changed
        self._source = source
        self._stopped = False
        self._run: _ReaderThread | None = None
        self._left: list[threading.Thread] = []
        self._state, self._reason = CameraState.STARTING, ""
        self._restarts = 0
        self._backoff, self._restart_at = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S), 0.0
        self._size_wh: tuple[int, int] | None = None

    def start(self) -> None:
        """Open the source in a thread and begin to read."""
        run = self._run = _ReaderThread(self._source)
        run.thread = threading.Thread(target=self._pump, args=(run,), name=f"read {self.name}", daemon=True)
        run.thread.start()

    def stop(self) -> None:
        """Ask the thread to close the source and end, as soon as the driver returns."""
        self._stopped = True

    def join(self, timeout_s: float) -> None:
        """Wait for the thread."""
        thread = self._run.thread if self._run is not None else None
        if thread is not None:
            thread.join(max(0.0, timeout_s))

    def status(self) -> CameraStatus:
        """Return the status of the camera."""
        slot = self.slot
        return CameraStatus(
            name=self.name,
            state=self._state,
            reason=self._reason,
            received=slot.received.total,
            processed=slot.taken.total,
            dropped=slot.dropped.total,
            restarts=self._restarts,
            hanging=len(self._still_hanging()),
            camera_fps=slot.received.per_second(),
            processed_fps=slot.taken.per_second(),
            dropped_fps=slot.dropped.per_second(),
            size_wh=self._size_wh,
            left_out=self._source.left_out if isinstance(self._source, SelectingSource) else {},
        )

    def watch_over(self) -> None:
        """Check for a stall and restart the capture when due; called with the lock held."""
        now = time.monotonic()
        if self._stopped or self.ended:
            return
        if self._run is not None:
            if self._stall_s and self._stalls(self._run, now):
                self._give_up(self._run, f"no image for {self._stall_s:g} s")
        elif now >= self._restart_at:
            self._restart()

    def retry(self, reason: str) -> None:
        """Treat a source that could not be opened at the start as lost; called with the lock held."""
        self.ended, self.error, self._run = False, None, None
        self._lose(CameraState.RECONNECTING, reason)

    @property
    def renewable(self) -> bool:
        """Whether the source can be abandoned and opened again."""
        return isinstance(self._source, RenewableSource)

    def _stalls(self, run: _ReaderThread, now: float) -> bool:
        if not run.opened:  # the driver has a limit of its own for that
            return now - run.returned_s > max(self._stall_s, self._open_s)
        if now - run.returned_s > self._stall_s:
            return True
        return not run.reopens and now - run.image_s > self._stall_s

    def _give_up(self, run: _ReaderThread, reason: str) -> None:
        if not self.renewable:
            if self._state is not CameraState.STALLED:
                self._state, self._reason = CameraState.STALLED, reason
                self._fault(reason)
            return
        if run.thread is not None:
            self._left.append(run.thread)
        self._run = None
        self._lose(CameraState.STALLED, reason)

    def _lose(self, state: CameraState, reason: str) -> None:
        self._state, self._reason = state, reason
        pause_s = self._backoff.next_s()
        self._restart_at = time.monotonic() + pause_s
        self._fault(f"{reason}; next attempt to open it in {pause_s:g} s")

    def _restart(self) -> None:
        hanging = self._still_hanging()
        if len(hanging) >= _MOST_HANGING:
            reason = f"{len(hanging)} reads hang in the driver"
            if self._state is not CameraState.FAILED:
                self._fault(f"{reason}; no further attempt until one returns")
            self._state, self._reason = CameraState.FAILED, reason
            return
        assert isinstance(self._source, RenewableSource)
        self._source = self._source.renewed()
        self._restarts += 1
        self._state = CameraState.RECONNECTING
        self.start()

    def _still_hanging(self) -> list[threading.Thread]:
        self._left = [thread for thread in self._left if thread.is_alive()]
        return self._left

    def _fault(self, text: str) -> None:
        index = self.slot.received.total
        frame = Frame(
            self._source.name, index, frame_name(index), time.time(), None, text, camera=self.camera
        )
        self.slot.put(frame)
        self._changed.notify_all()

    def _pump(self, run: _ReaderThread) -> None:
        """Read until stopped or abandoned; runs in the thread."""
        error: BaseException | None = None
        entered = False
        try:
            run.source.__enter__()
            entered = True
            with self._changed:
                run.opened = self.opened = True
                self._changed.notify_all()
            self._read_all(run)
        except BaseException as failure:
            error = failure  # raised again where the frames are taken
        finally:
            self._finish(run, error, entered)

    def _read_all(self, run: _ReaderThread) -> None:
        source = run.source
        read: Callable[[float], Grabbed | Frame | NoFrame] = (
            source.grab if isinstance(source, GrabbingSource) else source.read
        )
        while self._is_current(run) and (got := read(_STEP_S)) is not NoFrame.END:
            run.returned_s = time.monotonic()
            if isinstance(source, LeavingSource):
                self._note_whether_there(run, source.away)
            if got is NoFrame.YET:
                continue
            with self._changed:
                if not self._is_current(run):  # abandoned meanwhile: another thread reads now
                    return
                self.slot.came()
                wanted = not isinstance(got, Grabbed) or self.slot.wants_another()
                if not wanted:
                    self._image_arrived(run)
            if wanted:
                frame = got.decode() if isinstance(got, Grabbed) else got
                self._deliver(run, replace(frame, camera=self.camera) if self.camera else frame)

    def _note_whether_there(self, run: _ReaderThread, away: str) -> None:
        with self._changed:
            if self._run is run:
                there = CameraState.STARTING if self._size_wh is None else CameraState.RUNNING
                self._state, self._reason = (CameraState.RECONNECTING, away) if away else (there, "")

    def _is_current(self, run: _ReaderThread) -> bool:
        return not self._stopped and self._run is run

    def _image_arrived(self, run: _ReaderThread) -> None:
        run.image_s, run.reopens = time.monotonic(), False
        if self._run is run:
            self._state, self._reason = CameraState.RUNNING, ""
            self._backoff.reset()

    def _deliver(self, run: _ReaderThread, frame: Frame) -> None:
        with self._changed:
            # A file waits for its turn; a camera does not.
            while self._is_current(run) and not self.slot.takes():
                self._changed.wait(_STEP_S)
            if not self._is_current(run):
                return
            if frame.image_rgb is not None:
                self._size_wh = (frame.image_rgb.shape[1], frame.image_rgb.shape[0])
                self._image_arrived(run)
            elif self.live:
                run.reopens = True
                self._state, self._reason = CameraState.RECONNECTING, frame.fault
            self.slot.put(frame)
            self._changed.notify_all()

    def _finish(self, run: _ReaderThread, error: BaseException | None, entered: bool) -> None:
        if entered:
            try:
                run.source.__exit__(type(error) if error else None, error, None)
            except Exception as failure:
                error = error or failure
        with self._changed:
            if self._run is run:
                self._end(run, error)
            self._changed.notify_all()

    def _end(self, run: _ReaderThread, error: BaseException | None) -> None:
        """Handle the end of the current thread: permanent, unless only an attempt to reopen has failed."""
        again = self._restarts > 0 and not run.opened and isinstance(error, CameraError)
        if again and not self._stopped:
            self._run = None
            self._lose(CameraState.RECONNECTING, _words(error))
            return
        self.error, self.ended = error, True
        if error is None:
            self._state = CameraState.ENDED
        else:
            self._state, self._reason = CameraState.FAILED, _words(error)
            if self.live:
                self._fault(self._reason)


def _words(error: BaseException | None) -> str:
    return error.what if isinstance(error, PcedgeError) else repr(error)
