"""Network cameras over RTSP or HTTP: streams, and addresses that give one image at a time."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from pcedge.errors import CameraError

from ..util.addresses import redact
from .capture import CameraSource
from .kind import SourceKind, SourceOptions, scheme_of
from .streams.captures import SnapshotCapture, StreamCapture
from .streams.container import is_still, open_container
from .streams.failures import bad_login, reason_of
from .streams.tls import Trust, check_certificate

if TYPE_CHECKING:
    from av.container import InputContainer

    from .drivers import Capture

_READ_TIMEOUT_S = 5.0
# UDP loses parts of images on a busy network; a camera that has no TCP is asked over UDP.
_OPTIONS = {"rtsp_flags": "prefer_tcp"}
_HINT = "Check the address, the login, and that the camera answers on the network."


def _open(uri: str, asked: SourceOptions) -> CameraSource:
    return CameraSource(
        redact(uri),
        partial(_opened, uri, asked.trust, asked.open_s),
        hint=_HINT,
        settings=asked.settings,
        max_reconnects=asked.max_reconnects,
    )


def _opened(uri: str, trust: Trust, open_s: float) -> Capture:
    if wrong := bad_login(uri):
        raise CameraError(wrong, _HINT)
    fetch = partial(_container, uri, trust, open_s)
    container = fetch()
    return SnapshotCapture(fetch, container) if is_still(container) else StreamCapture(container)


def _container(uri: str, trust: Trust, open_s: float) -> InputContainer:
    from av import FFmpegError

    began_s = time.monotonic()
    check_certificate(uri, trust, open_s)
    left_s = max(0.1, open_s - (time.monotonic() - began_s))
    try:
        return open_container(uri, _OPTIONS | trust.ffmpeg_options(), (left_s, _READ_TIMEOUT_S))
    except (FFmpegError, OSError) as error:
        # FFmpeg's RTSP calls a time-out invalid data.
        late = time.monotonic() - began_s >= open_s
        reason = f"no answer within {open_s:g} s" if late else reason_of(error, uri, trust)
        raise CameraError(reason, _HINT) from error


KIND = SourceKind(
    "rtsp://..., http://...",
    lambda uri: scheme_of(uri) in {"rtsp", "rtsps", "http", "https"},
    _open,
    is_camera=True,
)
