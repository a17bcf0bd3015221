"""Video source: the frames of a video file."""

from __future__ import annotations

import time
from itertools import count
from pathlib import Path

from pcedge.errors import CameraError

from ..frames import Frame
from ..images import is_image_name
from .base import NoFrame, frame_name
from .container import Container
from .kind import SourceKind
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
        """Return the next frame or the end, without waiting.

        Raises:
            CameraError: A part of the file is missing or damaged; said after all that is there.
        """
        if self._container is None:
            return NoFrame.END
        index = next(self._indices)
        if not self._container.grab():
            self._check_complete(self._container, index)
            return NoFrame.END
        return Frame(self.name, index, frame_name(index), time.time(), self._container.image())

    def _check_complete(self, container: Container, frames: int) -> None:
        # Only a count is compared: a length in seconds says little of a variable frame rate, and that of the
        # file is that of its sound where the sound is longer.
        missing = max(0, container.announced - container.packets)
        if frames == 0 or missing or container.damaged:
            raise self._damaged(
                f"{frames} frames were read, {missing + container.damaged} are missing or cannot be decoded"
            )
        if cut := missing_bytes(self._path):
            raise self._damaged(f"{frames} frames were read, and {cut:,} bytes at the end are missing")

    def _damaged(self, how: str) -> CameraError:
        return CameraError(f"{self._path}: is damaged: {how}.", "Copy or record the file again.")


def _is_video(uri: str) -> bool:
    return bool(uri) and Path(uri).is_file() and not is_image_name(uri)


KIND = SourceKind("a video file", _is_video, lambda uri, _asked: VideoSource(uri), is_path=True)
