"""Network cameras over RTSP or HTTP."""

from __future__ import annotations

from functools import partial

import cv2

from ..util.addresses import redact
from .capture import CameraSource
from .drivers import open_capture
from .kind import SourceKind, SourceOptions, scheme_of

_READ_TIMEOUT_MS = 5000


def _open(uri: str, asked: SourceOptions) -> CameraSource:
    timeouts = (
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        int(asked.open_s * 1000),
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        _READ_TIMEOUT_MS,
    )
    return CameraSource(
        redact(uri),
        partial(open_capture, uri, cv2.CAP_FFMPEG, timeouts),
        hint="Check the address, the login, and that the camera answers on the network.",
        settings=asked.settings,
        max_reconnects=asked.max_reconnects,
    )


KIND = SourceKind(
    "rtsp://..., http://...",
    lambda uri: scheme_of(uri) in {"rtsp", "rtsps", "http", "https"},
    _open,
    is_camera=True,
)
