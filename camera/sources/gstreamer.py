"""GStreamer source: pipelines that end in ``appsink``."""

from __future__ import annotations

from functools import partial

import cv2

from pcedge.errors import CameraError

from ..util.addresses import redact
from .capture import CameraSource
from .drivers import Driver
from .kind import SourceKind, SourceOptions, scheme_of


def _open(uri: str, asked: SourceOptions) -> CameraSource:
    name = redact(uri)
    if not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        raise CameraError(
            f"{name}: this OpenCV was built without GStreamer.",
            "The opencv-python package never has it; on Jetson use JetPack's own OpenCV "
            "(python3-opencv), elsewhere build OpenCV with WITH_GSTREAMER=ON.",
        )
    return CameraSource(
        name,
        partial(Driver, uri[len("gst:") :], cv2.CAP_GSTREAMER),
        hint="Try the pipeline with gst-launch-1.0; for OpenCV it must end in: ! videoconvert ! appsink",
        settings=asked.settings,
        max_reconnects=asked.max_reconnects,
    )


KIND = SourceKind("gst:PIPELINE", lambda uri: scheme_of(uri) == "gst", _open, is_camera=True)
