"""Captures of network streams, snapshots and video files, with the face of OpenCV's ``VideoCapture``.

Unlike OpenCV's, every image has the size that the camera gave it, also when that changes within the stream.
Pixels are the same: both convert with FFmpeg.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pcedge.errors import CameraError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# Asked more often, many cameras give the same image again.
_SNAPSHOTS_PER_S = 2.0


class StreamCapture:
    """Images of an open container, in order.

    Attributes:
        packets: Number of packets of video that were read.
        error: Why no more comes; None at the end.
    """

    def __init__(self, container: InputContainer) -> None:
        self.packets = 0
        self.error: Exception | None = None
        self._container = container
        self._packets: Iterator[Packet[VideoStream]] = container.demux(container.streams.video[0])
        self._decoded: Iterator[VideoFrame] = iter(())
        self._frame: VideoFrame | None = None
        self._began = False

    @property
    def announced(self) -> int:
        """Number of images that the header counts; 0 if it does not count them."""
        return self._container.streams.video[0].frames

    @property
    def is_counted(self) -> bool:
        """Whether the header counts its packets exactly, as that of MP4 does."""
        return "mp4" in self._container.format.name

    @property
    def may_repeat(self) -> bool:
        """Whether its compression leaves out what does not change, noise too, so that images may be equal."""
        return not self._container.streams.video[0].codec_context.codec.intra_only

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        """Whether it can be read."""
        return True

    def grab(self) -> bool:
        """Read up to the next image; False at the end, or when no more comes.

        An image that cannot be decoded is grabbed too, and not retrieved. Before the first image that is no
        fault: who joins a stream in its middle sees parts of images.
        """
        while (arrived := self._step()) is None:
            pass
        return arrived

    def retrieve(self) -> tuple[bool, NDArray[Any]]:
        """Return whether the grabbed image is whole, and the image: uint8 [height, width, 3], BGR."""
        if self._frame is None or self._frame.is_corrupt:
            return False, np.empty((0, 0, 3), np.uint8)
        return True, _bgr(self._frame)

    def get(self, key: int) -> float:
        """No properties are known."""
        return 0.0

    def set(self, key: int, value: float) -> bool:
        """A stream has no settings."""
        return False

    def release(self) -> None:
        """Close it."""
        self._container.close()

    def _step(self) -> bool | None:
        """Return whether there is an image; None if there is none yet."""
        from av import FFmpegError, InvalidDataError

        try:
            if (frame := next(self._decoded, None)) is not None:
                self._frame, self._began = frame, True
                return True
            if (packet := self._next_packet()) is None:
                return False
            self._decoded = iter(packet.decode())
        except InvalidDataError:
            self._frame = None
            return True if self._began else None
        except (FFmpegError, OSError) as error:
            self.error = error
            return False
        return None

    def _next_packet(self) -> Packet[VideoStream] | None:
        from av import InvalidDataError

        try:
            packet = next(self._packets, None)
        except InvalidDataError as error:
            self.error = error
            return None
        self.packets += packet is not None and packet.size > 0
        return packet


class SnapshotCapture:
    """Images of an address that gives one image at a time; it is asked again and again.

    Args:
        fetch: Opens the address.
        first: The container that was opened first.
    """

    def __init__(self, fetch: Callable[[], InputContainer], first: InputContainer) -> None:
        self._fetch = fetch
        self._capture = StreamCapture(first)
        self._pause_s = 1 / _SNAPSHOTS_PER_S
        self._next_s = 0.0

    @property
    def may_repeat(self) -> bool:
        """Each image is compressed by itself, so that noise is in it."""
        return False

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        """Whether it can be read."""
        return True

    def grab(self) -> bool:
        """Fetch the next image when its time has come; False when none comes."""
        time.sleep(max(0.0, self._next_s - time.monotonic()))
        if self._next_s and not self._opened_again():
            return False
        self._next_s = time.monotonic() + self._pause_s
        return self._capture.grab()

    def retrieve(self) -> tuple[bool, NDArray[Any]]:
        """Return whether the image is whole, and the image: uint8 [height, width, 3], BGR."""
        return self._capture.retrieve()

    def get(self, key: int) -> float:
        """The rate at which it asks; no other property is known."""
        return 1 / self._pause_s if key == cv2.CAP_PROP_FPS else 0.0

    def set(self, key: int, value: float) -> bool:
        """Only the rate can be set."""
        if key != cv2.CAP_PROP_FPS or value <= 0:
            return False
        self._pause_s = 1 / value
        return True

    def release(self) -> None:
        """Close it."""
        self._capture.release()

    def _opened_again(self) -> bool:
        from av import FFmpegError

        self._capture.release()
        try:
            self._capture = StreamCapture(self._fetch())
        except (FFmpegError, CameraError):
            return False
        return True


def _bgr(frame: VideoFrame) -> NDArray[np.uint8]:
    # What OpenCV does, so that an image has the same pixels as before.
    image_bgr = np.asarray(frame.reformat(format="bgr24", interpolation="BICUBIC").to_ndarray(), np.uint8)
    turns = round((frame.rotation or 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(image_bgr, turns)) if turns else image_bgr
