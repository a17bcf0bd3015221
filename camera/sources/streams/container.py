"""Videos and network streams, decoded by FFmpeg (PyAV)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pcedge.errors import CameraError

from ..drivers import CameraSettings
from .reasons import FORBIDDEN, LOGIN, NO_PATH, REFUSED, STATUS, no_answer

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video import VideoStream
    from av.video.frame import VideoFrame

_READ_TIMEOUT_S = 5.0
_QUARTER = 90


class Container:
    """A video file or a network stream: its images in order, each in the size that it has.

    Args:
        address: Path or URL.
        options: FFmpeg's options of protocol and demuxer.
        open_s: Seconds that a network camera may take to answer; None for a file.

    Attributes:
        is_single_image: Whether it is an image file, not a video.
        may_repeat: Whether its compression leaves out what does not change, noise too.
        announced: Images that the file says it has; 0 if it does not say.
        is_counted: Whether that number is exact, as it is in MP4.
        packets: Encoded images that were read; of a file that was cut, not all are shown.
        error: Why no more comes; None at the end.

    Raises:
        CameraError: It cannot be opened; the message is the reason, and never holds the address.
    """

    def __init__(
        self, address: str | Path, options: Mapping[str, str] | None = None, open_s: float | None = None
    ) -> None:
        import av

        av.logging.set_level(None)  # FFmpeg's messages may hold the address with its password
        timeout = None if open_s is None else (open_s, _READ_TIMEOUT_S)
        try:
            self._container = av.open(str(address), options=dict(options or {}), timeout=timeout)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise CameraError(_reason(error, open_s)) from None
        if not self._container.streams.video:
            self._container.close()
            raise CameraError("has no video, only sound or data")
        stream = self._container.streams.video[0]
        self._packets: Iterator[Packet[VideoStream]] = self._container.demux(stream)
        self.announced = stream.frames
        self.is_counted = "mp4" in self._container.format.name
        self.may_repeat = not stream.codec_context.codec.intra_only
        self.is_single_image = _is_image(self._container.format.name)
        self.packets = 0
        # None stands for an image that is damaged.
        self._ready: deque[VideoFrame | None] = deque()
        self._grabbed: VideoFrame | None = None
        self._began = False
        self.error: Exception | None = None

    def grab(self) -> bool:
        """Decode the next image; False at the end, and if none comes for 5 s.

        One that is damaged is grabbed too, and has no image. Before the first image that is no fault: who
        joins a stream in its middle sees parts of images.
        """
        while not self._ready:
            if not self._decode_packet():
                return False
        self._grabbed = self._ready.popleft()
        return True

    def image(self) -> NDArray[np.uint8]:
        """The grabbed image, uint8 [height, width, 3] in RGB.

        Raises:
            CameraError: It is damaged, or cannot be converted.
        """
        frame, self._grabbed = self._grabbed, None
        if frame is None or frame.is_corrupt:
            raise CameraError("an image cannot be decoded")
        try:
            image = frame.reformat(format="rgb24", interpolation="BICUBIC").to_ndarray()  # as OpenCV does
        except (ValueError, OSError) as error:
            raise CameraError(f"delivers images of a kind that cannot be converted ({error})") from error
        turns = round(frame.rotation / _QUARTER) % 4  # a telephone's, held upright
        return np.ascontiguousarray(np.rot90(image, turns), np.uint8)

    def apply(self, settings: CameraSettings) -> tuple[str, ...]:
        """A stream takes no settings: all that are given are refused."""
        return settings.given

    def release(self) -> None:
        """Close it."""
        self._container.close()

    def _decode_packet(self) -> bool:
        """Decode a packet, which may hold no image or several; False at the end of the stream."""
        import av

        try:
            packet = next(self._packets, None)
        except (av.FFmpegError, OSError) as error:
            self.error = error
            return False
        if packet is None:
            return False
        self.packets += packet.size > 0
        try:
            frames = packet.decode()
        except (av.FFmpegError, OSError, ValueError):
            self._ready.extend([None] if self._began else [])
            return True
        self._began = self._began or bool(frames)
        self._ready.extend(frames)
        return True


def _is_image(demuxer: str) -> bool:
    """Whether FFmpeg reads an image file: by the suffix of its name, or by its content as it comes."""
    return demuxer == "image2" or demuxer.endswith("_pipe")


def _reason(error: Exception, open_s: float | None) -> str:
    """What happened, in words, and without the address."""
    import av

    found = (
        (av.HTTPUnauthorizedError, STATUS[LOGIN]),
        (av.HTTPForbiddenError, STATUS[FORBIDDEN]),
        (av.HTTPNotFoundError, STATUS[NO_PATH]),
        (av.HTTPError, "it answers with an error of HTTP or RTSP"),
        (av.ConnectionRefusedError, REFUSED),
        ((av.TimeoutError, av.ExitError), no_answer(open_s or _READ_TIMEOUT_S)),
        ((av.InvalidDataError, av.EOFError), "it is not a video that can be read, or is damaged"),
        (
            (av.DemuxerNotFoundError, av.DecoderNotFoundError, av.ProtocolNotFoundError),
            "unknown kind of video",
        ),
    )
    for kinds, words in found:
        if isinstance(error, kinds):
            return words
    return (getattr(error, "strerror", None) or type(error).__name__).lower()
