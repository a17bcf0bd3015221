"""Video source: the frames of a video file."""

from __future__ import annotations

import time
from itertools import count
from pathlib import Path

import cv2

from pcedge.errors import CameraError

from ..frames import Frame
from ..images import is_image_name
from .base import NoFrame, frame_name
from .drivers import open_capture, rgb_of
from .kind import SourceKind


class VideoSource:
    """Every frame of a video file, in order, once.

    Args:
        path: A file that FFmpeg can read: mp4, avi, mkv, mov and others.
    """

    live = False

    def __init__(self, path: str | Path) -> None:
        self.name = Path(path).name
        self._path = Path(path)
        self._indices = count()
        self._announced = 0
        self._capture: cv2.VideoCapture | None = None

    def __enter__(self) -> VideoSource:
        if not self._path.is_file():
            raise CameraError(f"{self._path}: no such file.", "Check the path.")
        capture = open_capture(str(self._path), cv2.CAP_FFMPEG)
        if not capture.isOpened():
            capture.release()
            raise CameraError(
                f"{self._path}: is not a video that can be read, or is damaged.",
                "Expected mp4, avi, mkv, mov or another format that FFmpeg knows.",
            )
        self._announced = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self._capture = capture
        return self

    def __exit__(self, *_: object) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def read(self, timeout_s: float) -> Frame | NoFrame:
        """Return the next frame or the end, without waiting.

        Raises:
            CameraError: The file has far fewer frames than its header says.
        """
        if self._capture is None:
            return NoFrame.END
        index = next(self._indices)
        arrived, image = self._capture.read()
        if not arrived:
            self._check_complete(index)
            return NoFrame.END
        return Frame(self.name, index, frame_name(index), time.time(), rgb_of(image))

    def _check_complete(self, frames: int) -> None:
        # Some containers only estimate their length, so a small difference is not an error.
        if frames == 0 or frames < 0.9 * self._announced - 2:
            raise CameraError(
                f"{self._path}: is damaged: it ends after {frames} of {self._announced} frames.",
                "Copy or record the file again.",
            )


def _is_video(uri: str) -> bool:
    return bool(uri) and Path(uri).is_file() and not is_image_name(uri)


KIND = SourceKind("a video file", _is_video, lambda uri, _asked: VideoSource(uri), is_path=True)
