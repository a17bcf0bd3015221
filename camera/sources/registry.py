"""One line of text for every kind of source."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import cv2

from pcedge.errors import CameraError

from ..images import is_image_name
from ..util.addresses import redact
from .base import Source
from .capture import CameraSource
from .drivers import CameraSettings, open_capture
from .folder import FolderSource
from .journal import Journal
from .video import VideoSource

_KINDS = (
    "Expected a camera number (0), v4l2:///dev/video0, rtsp://..., http://..., gst:PIPELINE, "
    "folder:DIR, synthetic: or a video file."
)
_NETWORK_TIMEOUT_MS = 5000
_Make = Callable[..., CameraSource]
_SYNTHETIC_OPTIONS: dict[str, tuple[str, Callable[[str], float]]] = {
    "frames": ("frames", int),
    "fps": ("fps", float),
    "seed": ("seed", int),
    "defects": ("defect_rate", float),
}


def open_source(
    uri: str,
    *,
    follow: bool = True,
    max_reconnects: int | None = None,
    settings: CameraSettings | None = None,
    done: Journal | None = None,
) -> Source:
    """Return the source that ``uri`` names; ``with`` opens it.

    ==========================  =====================================================
    ``0``, ``1``                camera by number
    ``v4l2:///dev/video0``      camera by device (Linux)
    ``rtsp://``, ``rtsps://``   network camera
    ``http://``, ``https://``   network camera, such as MJPEG
    ``gst:PIPELINE``            GStreamer pipeline ending in ``appsink``
    ``folder:DIR`` or a folder  the images in a folder, then those that arrive
    ``synthetic:``              a made-up camera; ``synthetic:?frames=50&fps=10&seed=3&defects=0.2``
    anything else               path of a video file
    ==========================  =====================================================

    Args:
        uri: As above.
        follow: For a folder: wait for more images after those already there.
        max_reconnects: For live cameras: give up after this many attempts; None never gives up.
        settings: What a live camera is asked for.
        done: For a folder: the files that have had their verdict and are passed over.

    Raises:
        CameraError: ``uri`` names no kind of source, or a file or a device that is not there. That
            a network camera does not answer comes out when it is opened.
        OptionError: An option of ``synthetic:`` is out of range.
    """
    uri = uri.strip()
    scheme = uri.partition(":")[0].lower()
    if uri.isdecimal() or scheme in _CAMERAS:
        make = partial(CameraSource, settings=settings, max_reconnects=max_reconnects)
        if uri.isdecimal():
            return _device(f"/dev/video{uri}", int(uri), f"cam{uri}", make)
        return _CAMERAS[scheme](uri, make)
    if settings is not None and settings != CameraSettings():
        raise CameraError(
            f"{redact(uri)}: has no size, rate, exposure or focus that could be set.",
            "Leave these settings out: they are for cameras.",
        )
    if scheme == "folder" and uri != "folder:":
        return FolderSource(uri[len("folder:") :], follow=follow, done=done)
    if scheme == "synthetic":
        return _synthetic(uri)
    return _path(uri, follow, done)


def _device(path: str, address: str | int, name: str, make: _Make) -> CameraSource:
    linux = sys.platform == "linux"
    if linux and not Path(path).exists():
        found = ", ".join(sorted(map(str, Path("/dev").glob("video*")))) or "no camera at all"
        raise CameraError(
            f"{name}: there is no {path}.",
            f"Found: {found}. Plug the camera in, or name another kind of source. {_KINDS}",
        )
    opener = partial(open_capture, address, cv2.CAP_V4L2 if linux else cv2.CAP_ANY)
    hint = "Check that no other program uses it and that you may open it (group video)."
    return make(name, opener, hint=hint)


def _v4l2(uri: str, make: _Make) -> CameraSource:
    path = "/" + uri[len("v4l2:") :].lstrip("/")
    return _device(path, path, f"v4l2://{path}", make)


def _network(uri: str, make: _Make) -> CameraSource:
    timeouts = (
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        _NETWORK_TIMEOUT_MS,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        _NETWORK_TIMEOUT_MS,
    )
    opener = partial(open_capture, uri, cv2.CAP_FFMPEG, timeouts)
    hint = "Check the address, the login, and that the camera answers on the network."
    return make(redact(uri), opener, hint=hint)


def _gstreamer(uri: str, make: _Make) -> CameraSource:
    name = redact(uri)
    if not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        raise CameraError(
            f"{name}: this OpenCV was built without GStreamer.",
            "The opencv-python package never has it; on Jetson use JetPack's own OpenCV "
            "(python3-opencv), elsewhere build OpenCV with WITH_GSTREAMER=ON.",
        )
    opener = partial(open_capture, uri[len("gst:") :], cv2.CAP_GSTREAMER)
    hint = "Try the pipeline with gst-launch-1.0; for OpenCV it must end in: ! videoconvert ! appsink"
    return make(name, opener, hint=hint)


def _synthetic(uri: str) -> Source:
    from .synthetic.camera import SyntheticCamera

    options: dict[str, Any] = {}
    query = uri[len("synthetic:") :].lstrip("/?")
    for key, text in parse_qsl(query, keep_blank_values=True):
        try:
            name, convert = _SYNTHETIC_OPTIONS[key]
            options[name] = convert(text)
        except (KeyError, ValueError) as error:
            raise CameraError(
                f"{uri}: the synthetic camera does not understand {key}={text}.",
                "For example: synthetic:?frames=50&fps=10&seed=3&defects=0.2",
            ) from error
    return SyntheticCamera(**options)


def _path(uri: str, follow: bool, done: Journal | None) -> Source:
    path = Path(uri)
    if uri and path.is_dir():
        return FolderSource(path, follow=follow, done=done)
    if uri and path.is_file() and not is_image_name(path.name):
        return VideoSource(path)
    shown = redact(uri)
    if path.is_file():
        raise CameraError(f"{shown}: is an image, not a source.", "Name its folder: folder:DIR")
    if "://" in uri or uri in {"", "folder:"}:
        raise CameraError(f"'{shown}' names no kind of source.", _KINDS)
    raise CameraError(f"{shown}: no such file or folder.", _KINDS)


_CAMERAS: dict[str, Callable[[str, _Make], CameraSource]] = {
    "gst": _gstreamer,
    "http": _network,
    "https": _network,
    "rtsp": _network,
    "rtsps": _network,
    "v4l2": _v4l2,
}
