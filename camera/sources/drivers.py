"""OpenCV video capture: opening without log output, camera settings, and conversion to 8-bit RGB."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from pcedge.errors import CameraError

# OpenCV reads this once, when anything in the process first uses FFmpeg; -8 is FFmpeg's "quiet".
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

_SILENT = 0
# The value 1 means manual exposure in Video4Linux.
_MANUAL_EXPOSURE = 1
_TO_RGB = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}


class Capture(Protocol):
    """What ``cv2.VideoCapture`` is, and so is what reads streams."""

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        """Whether it can be read."""

    def grab(self) -> bool:
        """Capture the next image; False when none comes."""

    def retrieve(self) -> tuple[bool, NDArray[Any]]:
        """Return whether the captured image could be decoded, and the image, BGR."""

    def get(self, key: int) -> float:
        """Return a setting."""

    def set(self, key: int, value: float) -> bool:
        """Change a setting; returns whether the device has it."""

    def release(self) -> None:
        """Close it."""


def open_capture(address: str | int, backend: int, params: Sequence[int] = ()) -> cv2.VideoCapture:
    """Open a device, a stream or a file; check the result with ``isOpened()``.

    OpenCV and FFmpeg print to stderr, and their output may contain the address with its password,
    so both are silenced unless the environment sets OPENCV_LOG_LEVEL or OPENCV_FFMPEG_LOGLEVEL.

    Args:
        address: Index, device, URL, pipeline or file.
        backend: One of OpenCV's ``CAP_...`` backends.
        params: Pairs of ``CAP_PROP_...`` and value that the backend must accept.
    """
    if "OPENCV_LOG_LEVEL" not in os.environ:
        _silence()
    if isinstance(address, int):
        return cv2.VideoCapture(address, backend, params)
    return cv2.VideoCapture(address, backend, params)


@dataclass(frozen=True)
class CameraSettings:
    """Camera settings; None keeps the default of the driver.

    Attributes:
        size_wh: Width and height of the image.
        fps: Frames per second.
        exposure: Exposure in the driver's own unit, which switches automatic exposure off.
        focus: Focus in the driver's own unit, which switches automatic focus off.
    """

    size_wh: tuple[int, int] | None = None
    fps: float | None = None
    exposure: float | None = None
    focus: float | None = None

    def apply(self, capture: Capture) -> tuple[str, ...]:
        """Apply the settings to an open camera; returns the ones it does not support."""
        width, height = self.size_wh or (None, None)
        wanted = {
            f"width {width}": ((cv2.CAP_PROP_FRAME_WIDTH, width),),
            f"height {height}": ((cv2.CAP_PROP_FRAME_HEIGHT, height),),
            f"rate {self.fps}": ((cv2.CAP_PROP_FPS, self.fps),),
            f"exposure {self.exposure}": (
                (cv2.CAP_PROP_AUTO_EXPOSURE, _MANUAL_EXPOSURE),
                (cv2.CAP_PROP_EXPOSURE, self.exposure),
            ),
            f"focus {self.focus}": ((cv2.CAP_PROP_AUTOFOCUS, 0), (cv2.CAP_PROP_FOCUS, self.focus)),
        }
        return tuple(
            name
            for name, steps in wanted.items()
            if steps[-1][1] is not None and not all(_set(capture, key, value) for key, value in steps)
        )


def _set(capture: Capture, key: int, value: float | None) -> bool:
    assert value is not None
    if not capture.set(key, value):
        return False
    # A driver accepts any size and uses the nearest one that it supports.
    exact = key in {cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT}
    return not exact or capture.get(key) == value


def _silence() -> None:
    # OpenCV 4 has this in the top-level module, OpenCV 5 in its utilities.
    set_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
    set_level(_SILENT)


def rgb_of(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Convert a grey, BGR or BGRA image of 8 or 16 bits into uint8 [height, width, 3] RGB.

    16 bits keep their upper 8 over the full range, as :func:`~pcedge.camera.read_image` does.

    Raises:
        CameraError: It is of another type or shape, such as raw YUYV or Bayer data.
    """
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.dtype != np.uint8 or image.ndim not in {2, 3} or channels not in _TO_RGB:
        raise CameraError(
            f"camera delivers {image.dtype} {image.shape}; expected 8 or 16 bits, grey or colour"
        )
    return np.asarray(cv2.cvtColor(image, _TO_RGB[channels]), np.uint8)
