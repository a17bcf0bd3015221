"""Clip sink: short videos of the time before and after an event."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from pcedge.errors import OutputError

from ...events.event import Event
from ...frames import Frame, Inspection
from ...util.output_files import unfinished_path
from ..base import moment, plain_name
from ..settings import Positive, SinkKind, Text
from .kept_files import KeptFilesTable
from .retention import CLIP_NAMES, Keeper, Retention

_QUALITY = 85
_FEWEST_FPS, _MOST_FPS = 1.0, 60.0


@dataclass(frozen=True)
class ClipLength:
    """Length and size of a clip.

    Attributes:
        before_s: Seconds before the event.
        after_s: Seconds after the last event that does not pass.
        longest_s: Maximum length from the event on; then a new clip starts.
        memory_bytes: Maximum memory for the buffered frames of one camera; if it is not enough for
            ``before_s``, the clip starts later.
        width_px: Wider frames are scaled to this width.
    """

    before_s: float = 3.0
    after_s: float = 3.0
    longest_s: float = 60.0
    memory_bytes: int = 64_000_000
    width_px: int = 960


@dataclass(frozen=True)
class _Shot:
    captured_at: float
    jpeg: bytes


class Clips:
    """Saves clips of the events whose decision does not pass, as motion JPEG in AVI.

    It receives every frame and keeps the last seconds of each camera in memory as JPEG. When a decision does
    not pass, it writes a clip. A finished clip is named after the time and the camera of the event:
    ``20261122T101530.123456-cam0-clip.avi``.

    Args:
        folder: Folder of the clips; created if it is missing.
        length: Length and size of a clip.
        retention: When to delete the oldest clips.
    """

    def __init__(
        self, folder: str | Path, length: ClipLength | None = None, *, retention: Retention | None = None
    ) -> None:
        self._folder = Path(folder)
        self._length = length or ClipLength()
        self._keeper = Keeper(self._folder, CLIP_NAMES, retention or Retention())
        self._cameras: dict[str, _Camera] = {}

    def __enter__(self) -> Clips:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the clips that are being written."""
        for camera in self._cameras.values():
            camera.finish()

    def wants(self, event: Event) -> bool:
        """Always True, since every frame may precede an event."""
        return True

    def write_frame(self, event: Event, frame: Frame, inspection: Inspection) -> None:
        """Buffer a frame, and write it if a clip is being recorded.

        Raises:
            OutputError: A clip cannot be written.
        """
        camera = self._cameras.setdefault(frame.camera_name, _Camera(self._folder, self._length))
        if not event.decision.passes and not camera.recording:
            self._keeper.make_room()
        camera.take(event, frame)


class _Camera:
    """The buffered frames of one camera, and its current clip."""

    def __init__(self, folder: Path, length: ClipLength) -> None:
        self._folder = folder
        self._length = length
        self._before: deque[_Shot] = deque()
        self._bytes = 0
        self._clip: _Clip | None = None
        self._began = self._flagged = 0.0

    @property
    def recording(self) -> bool:
        """Whether a clip is being written."""
        return self._clip is not None

    def take(self, event: Event, frame: Frame) -> None:
        """Add a frame, which may have no image."""
        now = frame.captured_at
        if self._clip is not None and self._is_over(now):
            self.finish()
        if frame.image_rgb is not None:
            shot = _Shot(now, _jpeg(frame.image_rgb, self._length.width_px))
            self._remember(shot)
            if self._clip is not None:
                self._clip.add(shot)
        if not event.decision.passes:
            self._flagged = now
            if self._clip is None and self._before:
                self._begin(frame)

    def finish(self) -> None:
        """Close the clip that is being written, if there is one."""
        clip, self._clip = self._clip, None
        if clip is not None:
            clip.finish()

    def _is_over(self, now: float) -> bool:
        # A clock that was set back ends a clip too.
        shown = now - self._began
        return not 0 <= shown <= self._length.longest_s or now - self._flagged > self._length.after_s

    def _begin(self, frame: Frame) -> None:
        self._began = frame.captured_at
        path = self._folder / f"{moment(frame.captured_at)}-{plain_name(frame.camera_name)}-clip.avi"
        self._clip = _Clip(path, _fps(self._before), _decode(self._before[-1]).shape)
        for shot in self._before:
            self._clip.add(shot)

    def _remember(self, shot: _Shot) -> None:
        self._before.append(shot)
        self._bytes += len(shot.jpeg)
        while len(self._before) > 1 and (
            self._bytes > self._length.memory_bytes
            or not 0 <= shot.captured_at - self._before[0].captured_at <= self._length.before_s
        ):
            self._bytes -= len(self._before.popleft().jpeg)


class _Clip:
    """An AVI file, which has a hidden name until it is finished."""

    def __init__(self, path: Path, fps: float, shape: tuple[int, ...]) -> None:
        self._path = path
        # OpenCV chooses the format by the suffix.
        self._hidden = unfinished_path(path, ".avi")
        self._size_wh = (shape[1], shape[0])
        self._writer = cv2.VideoWriter(
            str(self._hidden), cv2.CAP_OPENCV_MJPEG, cv2.VideoWriter.fourcc(*"MJPG"), fps, self._size_wh
        )
        if not self._writer.isOpened():
            raise OutputError(
                f"{path}: cannot be written.", "Check that the folder is writable and not full."
            )

    def add(self, shot: _Shot) -> None:
        """Append a frame, scaled to the size of the first."""
        picture = _decode(shot)
        if (picture.shape[1], picture.shape[0]) != self._size_wh:
            picture = np.asarray(cv2.resize(picture, self._size_wh, interpolation=cv2.INTER_AREA), np.uint8)
        self._writer.write(picture)

    def finish(self) -> None:
        """Close the file and give it its name."""
        self._writer.release()
        try:
            self._hidden.replace(self._path)
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written: {error.strerror}.") from error


def _jpeg(image_rgb: NDArray[np.uint8], width_px: int) -> bytes:
    height, width = image_rgb.shape[:2]
    picture = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR)
    if width > width_px:
        size_wh = (width_px, max(1, round(height * width_px / width)))
        picture = cv2.resize(picture, size_wh, interpolation=cv2.INTER_AREA)
    done, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise OutputError("A frame cannot be encoded as JPEG.")
    return encoded.tobytes()


def _decode(shot: _Shot) -> NDArray[np.uint8]:
    picture = cv2.imdecode(np.frombuffer(shot.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None  # it was encoded here
    return np.asarray(picture, np.uint8)


def _fps(shots: deque[_Shot]) -> float:
    """Frame rate before the event, which is used for the whole clip."""
    lasted_s = shots[-1].captured_at - shots[0].captured_at
    return float(np.clip((len(shots) - 1) / lasted_s, _FEWEST_FPS, _MOST_FPS)) if lasted_s > 0 else 10.0


class ClipTable(KeptFilesTable, frozen=True):
    """``[sinks.clip]``: clips around events.

    Attributes:
        folder: Folder of the clips, below the output directory.
        before_s: Seconds to show before an event whose decision does not pass.
        after_s: Seconds to show after the last such event.
        longest_s: Maximum seconds that a clip shows after its event.
        memory_mb: Maximum memory for the buffered frames of one camera; if it is too small, less is shown.
        width_px: Wider frames are scaled to this width.
    """

    folder: Text = "clips"
    before_s: Annotated[float, Meta(ge=0, le=60)] = 3.0
    after_s: Annotated[float, Meta(ge=0, le=60)] = 3.0
    longest_s: Annotated[float, Meta(gt=0, le=3600)] = 60.0
    memory_mb: Positive = 64.0
    width_px: Annotated[int, Meta(ge=16)] = 960


def _make(table: ClipTable, output: Path) -> Clips:
    length = ClipLength(
        before_s=table.before_s,
        after_s=table.after_s,
        longest_s=table.longest_s,
        memory_bytes=round(table.memory_mb * 1e6),
        width_px=table.width_px,
    )
    return Clips(output / table.folder, length, retention=table.retention)


KIND = SinkKind("clip", ClipTable, _make)
