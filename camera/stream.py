"""Frames from any source as one iterator: a live source never waits, a file is never skipped."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import TracebackType

from .frames import Frame
from .source import NoFrame, Source

_STEP_S = 0.1
_JOIN_S = 1.5


class Stream:
    """The frames of a source, opened and closed by ``with``::

        with Stream(open_source("0")) as stream:
            for frame in stream:
                ...

    A live source is read by a thread of its own into a single place where a newer frame replaces
    the older one: whoever iterates always gets the newest, and what was replaced is counted. Any
    other source is read when the next frame is asked for, and nothing is dropped.

    The iteration ends when the source ends, after :meth:`stop`, or when the time is over. What goes
    wrong in the reading thread is raised by the iteration. Leaving the block takes less than 2 s
    even when a driver hangs: the source is then closed by the thread once the driver returns.

    Args:
        source: Not yet opened; the stream opens and closes it.

    Attributes:
        received: Frames that the source gave, faults included.
        dropped: Frames replaced by a newer one before anybody asked for them.
    """

    def __init__(self, source: Source) -> None:
        self.received = 0
        self.dropped = 0
        self._source = source
        self._stopped = False
        self._deadline: float | None = None
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()
        # The three below are shared with the thread, under the condition's lock.
        self._newest: Frame | None = None
        self._ended = False
        self._error: BaseException | None = None

    @property
    def name(self) -> str:
        """The source's name; safe to print."""
        return self._source.name

    @property
    def live(self) -> bool:
        """Whether frames come at their own pace."""
        return self._source.live

    def __enter__(self) -> Stream:
        self._source.__enter__()
        if self.live:
            self._thread = threading.Thread(target=self._pump, name=f"read {self.name}", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if self._thread is None:
            self._source.__exit__(kind, error, trace)
        else:
            self._thread.join(_JOIN_S)

    def stop(self) -> None:
        """End the iteration within about 0.1 s; signal handlers and other threads may call this."""
        # Only a flag: taking a lock in a signal handler can deadlock with the code it interrupted.
        self._stopped = True

    def stop_after(self, seconds: float) -> None:
        """End the iteration ``seconds`` from now, whether or not a frame arrives."""
        self._deadline = time.monotonic() + seconds

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames; see the class for how it ends.

        Raises:
            CameraError: The source has failed for good.
        """
        take = self._pull if self._thread is None else self._take
        while not self._over():
            got = take()
            if got is NoFrame.END:
                return
            if isinstance(got, Frame):
                yield got

    def _over(self) -> bool:
        late = self._deadline is not None and time.monotonic() >= self._deadline
        return self._stopped or late

    def _pull(self) -> Frame | NoFrame:
        got = self._source.read(_STEP_S)
        self.received += isinstance(got, Frame)
        return got

    def _take(self) -> Frame | NoFrame:
        with self._changed:
            if self._newest is None and not self._ended:
                self._changed.wait(_STEP_S)
            frame, self._newest = self._newest, None
            if frame is not None:
                return frame
            if self._error is not None:
                raise self._error
            return NoFrame.END if self._ended else NoFrame.YET

    def _pump(self) -> None:
        """Read until stopped; runs in the thread."""
        error: BaseException | None = None
        try:
            while not self._stopped and (got := self._source.read(_STEP_S)) is not NoFrame.END:
                if isinstance(got, Frame):
                    self._put(got)
        except BaseException as failure:
            error = failure  # raised again where the frames are taken
        finally:
            self._finish(error)

    def _put(self, frame: Frame) -> None:
        with self._changed:
            self.received += 1
            self.dropped += self._newest is not None
            self._newest = frame
            self._changed.notify()

    def _finish(self, error: BaseException | None) -> None:
        try:
            self._source.__exit__(type(error) if error else None, error, None)
        except Exception as failure:
            error = error or failure
        with self._changed:
            self._error = error
            self._ended = True
            self._changed.notify()
