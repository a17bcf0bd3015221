"""Cameras that give a single image at an address, which is asked for again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from pcedge.errors import CameraError, PcedgeError

from ...images import read_image
from ..drivers import CameraSettings

_EVERY_S = 1.0
_MOST_BYTES = 200_000_000


class Snapshots:
    """Asks for an image at a steady rate.

    Args:
        fetch: Returns an image file's content of at most so many bytes; raises ``OSError``,
            ``ValueError`` or ``CameraError`` if there is none.
        rate: Images per second; None for one.
    """

    may_repeat = False

    def __init__(self, fetch: Callable[[int], bytes], rate: float | None) -> None:
        self._fetch = fetch
        self._every_s = _EVERY_S if rate is None else 1 / rate
        self._due_s = time.monotonic()
        self._content = b""

    def grab(self) -> bool:
        """Wait until it is time, and ask; False if nothing came."""
        time.sleep(max(0.0, self._due_s - time.monotonic()))
        self._due_s = max(self._due_s + self._every_s, time.monotonic())
        try:
            self._content = self._fetch(_MOST_BYTES)
        except (OSError, ValueError, CameraError):
            return False
        return True

    def image(self) -> NDArray[np.uint8]:
        """The image, uint8 [height, width, 3] in RGB, decoded as image files are.

        Raises:
            CameraError: It cannot be decoded.
        """
        with TemporaryDirectory() as folder:
            path = Path(folder, "snapshot")
            path.write_bytes(self._content)
            try:
                return read_image(path)
            except PcedgeError as error:
                what = error.what.replace(f"{path}: ", "")
                raise CameraError(f"what it gives is not an image: {what}") from error

    def apply(self, settings: CameraSettings) -> tuple[str, ...]:
        """The rate can be set, nothing else."""
        return replace(settings, fps=None).given

    def release(self) -> None:
        """Nothing is open between two images."""
