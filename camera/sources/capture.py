"""Live cameras and network streams with automatic reconnection."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count

from pcedge.errors import CameraError

from ..frames import Frame
from ..util.backoff import Backoff
from .base import Grabbed, NoFrame, frame_name
from .drivers import CameraSettings, Capture

# Between attempts of a camera that says that it is lost. One that hangs is given up and opened anew by
# camera/stream/reader.py, which has pauses of its own.
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0
# Images in a row that cannot be decoded, after which the camera is opened anew.
_MOST_DAMAGED = 25


class CameraSource:
    """A live camera or network stream.

    Opening fails at once if the camera is not available. After that, a lost image and every failed attempt
    to reopen the camera are frames with ``fault`` set. Attempts are 0.5 s apart at first, then the pause
    doubles up to 10 s, until an image arrives again.

    Args:
        name: Display name, without a password.
        opener: Opens the device, or raises a ``CameraError`` with the reason; called again for every attempt
            to reopen. It should set time-outs where the driver has them.
        hint: What to check when it cannot be opened.
        settings: Settings that are applied whenever the camera is opened.
        max_reconnects: Attempts without an image after which to give up; None for no limit.
        indices: Indices of the frames; by default from 0.
    """

    live = True

    def __init__(
        self,
        name: str,
        opener: Callable[[], Capture],
        *,
        hint: str = "",
        settings: CameraSettings | None = None,
        max_reconnects: int | None = None,
        indices: Iterator[int] | None = None,
    ) -> None:
        self.name = name
        self._opener = opener
        self._hint = hint
        self._settings = settings or CameraSettings()
        self._refused: tuple[str, ...] = ()
        self._max_reconnects = max_reconnects
        self._capture: Capture | None = None
        self._indices = count() if indices is None else indices
        self._attempts = self._damaged = 0
        self._backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        self._retry_at = 0.0

    def __enter__(self) -> CameraSource:
        try:
            self._open()
        except CameraError as error:
            raise CameraError(
                f"{self.name}: cannot be opened: {error.what.rstrip('.')}.", error.hint or self._hint
            ) from error
        if self._refused:
            self._release()
            raise CameraError(
                f"{self.name}: does not support these settings: {', '.join(self._refused)}.",
                "Omit them, or choose supported values (v4l2-ctl --all lists them).",
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._release()

    def renewed(self) -> CameraSource:
        """Return an unopened source of the same camera that continues the frame indices."""
        return CameraSource(
            self.name,
            self._opener,
            hint=self._hint,
            settings=self._settings,
            max_reconnects=self._max_reconnects,
            indices=self._indices,
        )

    def read(self, timeout_s: float) -> Frame | NoFrame:
        """Return the next image, or a fault when the camera has just been lost or is still lost.

        While it is lost, waits at most ``timeout_s`` for the time of the next attempt. The driver
        or the network may take longer, up to the time-outs that ``opener`` sets.

        Raises:
            CameraError: ``max_reconnects`` attempts in a row have returned no image.
        """
        got = self.grab(timeout_s)
        return got.decode() if isinstance(got, Grabbed) else got

    def grab(self, timeout_s: float) -> Grabbed | Frame | NoFrame:
        """Like ``read``, but without decoding the image."""
        capture = self._capture
        if capture is None:
            wait_s = self._retry_at - time.monotonic()
            if wait_s > 0:
                time.sleep(min(wait_s, timeout_s))
                return NoFrame.YET
            self._count_attempt()
            try:
                capture = self._open()
            except CameraError as error:
                return self._lost(f"the camera cannot be reopened: {error.what.rstrip('.')}")
        if not capture.grab():
            return self._lost("no image from the camera")
        # Only an image proves that the camera is back: some open and then deliver nothing.
        self._attempts = 0
        self._backoff.reset()
        return Grabbed(partial(self._decoded, capture, next(self._indices), time.time(), time.monotonic()))

    def _open(self) -> Capture:
        self._damaged = 0
        capture = self._opener()
        self._refused = capture.apply(self._settings)
        self._capture = capture
        return capture

    def _decoded(self, capture: Capture, index: int, captured_at: float, clock_s: float) -> Frame:
        try:
            image_rgb = capture.image()
        except CameraError as error:
            return self._undecoded(index, error.what)
        self._damaged = 0
        return Frame(
            self.name,
            index,
            frame_name(index),
            captured_at,
            image_rgb,
            clock_s=clock_s,
            may_repeat=capture.may_repeat,
        )

    def _undecoded(self, index: int, fault: str) -> Frame:
        """A damaged image, as networks deliver them now and then; the camera is there."""
        self._damaged += 1
        if self._damaged >= _MOST_DAMAGED:
            return self._lost(fault)
        return Frame(self.name, index, frame_name(index), time.time(), None, fault)

    def _lost(self, fault: str) -> Frame:
        self._release()
        pause_s = self._backoff.next_s()
        self._retry_at = time.monotonic() + pause_s
        fault = f"{fault}; next attempt to reopen it in {pause_s:g} s"
        index = next(self._indices)
        return Frame(self.name, index, frame_name(index), time.time(), None, fault)

    def _count_attempt(self) -> None:
        if self._attempts == self._max_reconnects:
            raise CameraError(
                f"{self.name}: lost; {self._attempts} attempts to reopen it returned no image.",
                self._hint,
            )
        self._attempts += 1

    def _release(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None
