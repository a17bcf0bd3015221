"""Local cameras, by number or by device path."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import cv2

from pcedge.errors import CameraError

from .capture import CameraSource
from .drivers import Driver
from .kind import SourceKind, SourceOptions, scheme_of


def _by_number(uri: str, asked: SourceOptions) -> CameraSource:
    return _device(f"/dev/video{uri}", int(uri), f"cam{uri}", asked)


def _by_device(uri: str, asked: SourceOptions) -> CameraSource:
    path = "/" + uri[len("v4l2:") :].lstrip("/")
    return _device(path, path, f"v4l2://{path}", asked)


def _device(path: str, address: str | int, name: str, asked: SourceOptions) -> CameraSource:
    linux = sys.platform == "linux"
    if linux and not Path(path).exists():
        found = ", ".join(sorted(map(str, Path("/dev").glob("video*")))) or "no camera at all"
        raise CameraError(
            f"{name}: there is no {path}.",
            f"Found: {found}. Plug the camera in, or name another kind of source. {asked.expected}",
        )
    return CameraSource(
        name,
        partial(Driver, address, cv2.CAP_V4L2 if linux else cv2.CAP_ANY),
        hint="Check that no other program uses it and that you may open it (group video).",
        settings=asked.settings,
        max_reconnects=asked.max_reconnects,
    )


NUMBER = SourceKind("a camera number (0)", str.isdecimal, _by_number, is_camera=True)
DEVICE = SourceKind("v4l2:///dev/video0", lambda uri: scheme_of(uri) == "v4l2", _by_device, is_camera=True)
