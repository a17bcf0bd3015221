"""Opening of streams and video files with PyAV, with time-outs, and with the reason when it fails."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pcedge.errors import CameraError

if TYPE_CHECKING:
    from av.container import InputContainer

# Demuxers that take any text for pictures.
_NO_VIDEO = frozenset({"tty", "bin", "xbin", "adf", "idf"})


def open_container(
    address: str | Path,
    options: Mapping[str, str] | None = None,
    timeouts_s: tuple[float, float] | None = None,
) -> InputContainer:
    """Open a stream or a file that holds video.

    Args:
        address: URL or path.
        options: Options of FFmpeg's protocols and demuxers.
        timeouts_s: Seconds that opening, and each later read, may take; None for no limit.

    Raises:
        av.FFmpegError: It cannot be opened.
        CameraError: There is no video in it; the message is a reason, without the address.
    """
    import av

    av.logging.set_level(None)  # FFmpeg's messages may hold the address with its password
    container = av.open(str(address), options=dict(options or {}), timeout=timeouts_s)
    if not container.streams.video or container.format.name in _NO_VIDEO:
        container.close()
        raise CameraError("it is not a video: there is no image in it")
    return container


def is_still(container: InputContainer) -> bool:
    """Whether a container is one image file, not a stream of images."""
    return container.format.name.endswith("_pipe") or container.format.name == "image2"
