"""Cameras that OpenCV drives: opening without log output, settings, and conversion to 8-bit RGB."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from pcedge.errors import CameraError

_SILENT = 0
# The value 1 means manual exposure in Video4Linux.
_MANUAL_EXPOSURE = 1
_TO_RGB = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}


class Capture(Protocol):
    """An open device, stream or file that gives images.

    Attributes:
        may_repeat: Whether its compression leaves out noise, so that images of a scene at rest may be equal.
    """

    may_repeat: bool

    def grab(self) -> bool:
        """Take the next image; False if there is none."""

    def image(self) -> NDArray[np.uint8]:
        """Return the image that was taken, uint8 [height, width, 3] in RGB.

        Raises:
            CameraError: It cannot be decoded.
        """

    def apply(self, settings: CameraSettings) -> tuple[str, ...]:
        """Apply settings; returns those that are not supported."""

    def release(self) -> None:
        """Close it."""


class Driver:
    """A camera or pipeline that OpenCV drives.

    OpenCV prints to stderr, and its output may contain the address with its password, so it is silenced
    unless the environment sets OPENCV_LOG_LEVEL.

    Args:
        address: Index, device or pipeline.
        backend: One of OpenCV's ``CAP_...`` backends.

    Raises:
        CameraError: It cannot be opened.
    """

    may_repeat = False

    def __init__(self, address: str | int, backend: int) -> None:
        if "OPENCV_LOG_LEVEL" not in os.environ:
            _silence()
        self._capture = cv2.VideoCapture(address, backend)
        if not self._capture.isOpened():
            self._capture.release()
            raise CameraError("the driver does not open it")

    def grab(self) -> bool:
        """Take the next image; False if there is none."""
        return bool(self._capture.grab())

    def image(self) -> NDArray[np.uint8]:
        """Return the image that was taken, uint8 [height, width, 3] in RGB.

        Raises:
            CameraError: It cannot be decoded.
        """
        arrived, image = self._capture.retrieve()
        if not arrived:
            raise CameraError("an image from the camera cannot be decoded")
        return rgb_of(image)

    def apply(self, settings: CameraSettings) -> tuple[str, ...]:
        """Apply settings; returns those that are not supported."""
        return settings.apply(self._capture)

    def release(self) -> None:
        """Close it."""
        self._capture.release()


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

    @property
    def given(self) -> tuple[str, ...]:
        """What is asked for, in words."""
        return tuple(name for name, steps in self._wanted().items() if steps[-1][1] is not None)

    def apply(self, capture: cv2.VideoCapture) -> tuple[str, ...]:
        """Apply the settings to an open camera; returns the ones it does not support."""
        wanted = self._wanted()
        return tuple(
            name for name in self.given if not all(_set(capture, key, value) for key, value in wanted[name])
        )

    def _wanted(self) -> dict[str, tuple[tuple[int, float | None], ...]]:
        width, height = self.size_wh or (None, None)
        return {
            f"width {width}": ((cv2.CAP_PROP_FRAME_WIDTH, width),),
            f"height {height}": ((cv2.CAP_PROP_FRAME_HEIGHT, height),),
            f"rate {self.fps}": ((cv2.CAP_PROP_FPS, self.fps),),
            f"exposure {self.exposure}": (
                (cv2.CAP_PROP_AUTO_EXPOSURE, _MANUAL_EXPOSURE),
                (cv2.CAP_PROP_EXPOSURE, self.exposure),
            ),
            f"focus {self.focus}": ((cv2.CAP_PROP_AUTOFOCUS, 0), (cv2.CAP_PROP_FOCUS, self.focus)),
        }


def _set(capture: cv2.VideoCapture, key: int, value: float | None) -> bool:
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
