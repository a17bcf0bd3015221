"""Video source: the frames of a video file."""

from __future__ import annotations

import time
from itertools import count
from pathlib import Path

from pcedge.errors import CameraError

from ..frames import Frame
from ..images import is_image_name
from .base import NoFrame, frame_name
from .drivers import rgb_of
from .kind import SourceKind
from .streams.captures import StreamCapture
from .streams.container import open_container
from .streams.matroska import missing_bytes


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
        self._capture: StreamCapture | None = None

    def __enter__(self) -> VideoSource:
        if not self._path.is_file():
            raise CameraError(f"{self._path}: no such file.", "Check the path.")
        from av import FFmpegError

        try:
            self._capture = StreamCapture(open_container(self._path))
        except (CameraError, FFmpegError, OSError) as error:
            raise CameraError(
                f"{self._path}: is not a video that can be read, or is damaged.",
                "Expected mp4, avi, mkv, mov or another format that FFmpeg knows.",
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def read(self, timeout_s: float) -> Frame | NoFrame:
        """Return the next frame or the end, without waiting; an image that is damaged is a fault.

        Raises:
            CameraError: Part of the file is missing.
        """
        if self._capture is None:
            return NoFrame.END
        if not self._capture.grab():
            self._check_complete(self._capture)
            return NoFrame.END
        index = next(self._indices)
        arrived, image = self._capture.retrieve()
        if not arrived:
            fault = "an image of the video cannot be decoded"
            return Frame(self.name, index, frame_name(index), time.time(), None, fault)
        return Frame(self.name, index, frame_name(index), time.time(), rgb_of(image))

    def _check_complete(self, capture: StreamCapture) -> None:
        """Refuse what ends too early by what the header counts; lengths in seconds are often estimates."""
        # AVI counts images that were never stored because the recorder was too slow.
        expected = capture.announced if capture.is_counted else 0.9 * capture.announced - 2
        if capture.error is None and 0 < capture.packets >= expected and not missing_bytes(self._path):
            return
        of = f" of {capture.announced}" if capture.announced else ""
        raise CameraError(
            f"{self._path}: is damaged: it ends after {capture.packets}{of} frames.",
            "Copy or record the file again.",
        )


def _is_video(uri: str) -> bool:
    return bool(uri) and Path(uri).is_file() and not is_image_name(uri)


KIND = SourceKind("a video file", _is_video, lambda uri, _asked: VideoSource(uri), is_path=True)
