"""OpenCV's video drivers: opened quietly, their pictures turned to 8-bit RGB once, here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pcedge.errors import CameraError

# OpenCV reads this once, when anything in the process first uses FFmpeg; -8 is FFmpeg's "quiet".
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

_SILENT = 0
_TO_RGB = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}


def open_capture(address: str | int, backend: int, params: Sequence[int] = ()) -> cv2.VideoCapture:
    """Open a device, a stream or a file; ask ``isOpened()`` whether that worked.

    OpenCV and FFmpeg print to stderr, and what they print can hold the address with its password,
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


def _silence() -> None:
    # OpenCV 4 has this at the top, OpenCV 5 among its utilities.
    set_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
    set_level(_SILENT)


def rgb_of(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Turn a driver's grey, BGR or BGRA picture of 8 or 16 bits into uint8 [height, width, 3] RGB.

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
