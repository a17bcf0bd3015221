"""Video source: the frames of a video file."""

from __future__ import annotations

import time
from itertools import count
from pathlib import Path

from pcedge.errors import CameraError

from ...frames import Frame
from ...images import is_image_name
from ..base import NoFrame, frame_name
from ..kind import SourceKind
from .container import Container
from .matroska import missing_bytes

# A playlist in the place of a video must not open connections.
_NOTHING_ELSE = {"protocol_whitelist": "file"}


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
        self._container: Container | None = None

    def __enter__(self) -> VideoSource:
        if not self._path.is_file():
            raise CameraError(f"{self._path}: no such file.", "Check the path.")
        try:
            self._container = Container(self._path, _NOTHING_ELSE)
        except CameraError as error:
            raise CameraError(
                f"{self._path}: cannot be opened: {error.what}.",
                "Expected mp4, avi, mkv, mov or another format that FFmpeg knows.",
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._container is not None:
            self._container.release()
            self._container = None

    def read(self, timeout_s: float) -> Frame | NoFrame:
        """Return the next frame or the end, without waiting; an image that is damaged is a fault.

        Raises:
            CameraError: A part of the file is missing; said after all that is there.
        """
        if self._container is None:
            return NoFrame.END
        if not self._container.grab():
            self._check_complete(self._container)
            return NoFrame.END
        index, image_rgb, fault = next(self._indices), None, ""
        try:
            image_rgb = self._container.image()
        except CameraError as error:
            fault = error.what
        return Frame(self.name, index, frame_name(index), time.time(), image_rgb, fault)

    def _check_complete(self, container: Container) -> None:
        # Only a count is compared: a length in seconds says little of a variable frame rate, and that of the
        # file is that of its sound where the sound is longer. AVI also counts images that were never stored,
        # because the recorder was too slow.
        expected = container.announced if container.is_counted else 0.9 * container.announced - 2
        if container.error is None and 0 < container.packets >= expected and not missing_bytes(self._path):
            return
        of = f" of {container.announced}" if container.announced else ""
        raise CameraError(
            f"{self._path}: is damaged: it ends after {container.packets}{of} frames.",
            "Copy or record the file again.",
        )


def _is_video(uri: str) -> bool:
    return bool(uri) and Path(uri).is_file() and not is_image_name(uri)


KIND = SourceKind("a video file", _is_video, lambda uri, _asked: VideoSource(uri), is_path=True)
