"""Image statistics (brightness, sharpness, position ...) and the learned limits for them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# Images are compared by phase correlation at this size.
_REFERENCE_PX = 128
# A lower response means another scene, or one without structure.
STEADY_RESPONSE = 0.1
_ASPECT_TOLERANCE = 0.02
# Sharpness is measured on an image no larger than this, which takes a millisecond or two.
_LARGEST_PX = 1024
_SATURATED_LEVEL = 250


@dataclass(frozen=True)
class ImageStatistics:
    """Statistics of an image; grey levels range from 0 to 255.

    Attributes:
        size_wh: Width and height.
        brightness: Mean grey level.
        saturated: Share of pixels at or close to white.
        sharpness: Natural logarithm of the variance of the Laplacian divided by the variance of the image.
        row_break: How many grey levels the largest step between two adjacent rows exceeds the steps before
            and after it. The optics spread an edge in the scene over several rows, but not the edge where the
            rows of two images meet.
        flat_rows: Share of rows in which all pixels are equal, as in a band that was never received.
    """

    size_wh: tuple[int, int]
    brightness: float
    saturated: float
    sharpness: float
    row_break: float
    flat_rows: float


@dataclass(frozen=True, eq=False)
class ImageMeasures:
    """Everything that the limits need of an image.

    Attributes:
        measures: Statistics of the image.
        grey_hw: uint8 [128, 128], the grey image that is compared with the reference.
    """

    measures: ImageStatistics
    grey_hw: NDArray[np.uint8]


@dataclass(frozen=True)
class QualityResult:
    """Result of the frame gate for one image.

    Attributes:
        reason: Why the image is rejected; empty if it is not.
        measures: Statistics of the image.
        offset_xy: Offset of the scene from the reference, to the right and downwards, as shares of the sides
            of the image; None if it was not measured or cannot be determined.
        comparable: Whether it has the size of the nominal images, so that its sharpness may be compared too.
    """

    reason: str
    measures: ImageStatistics
    offset_xy: tuple[float, float] | None = None
    comparable: bool = True


@dataclass(frozen=True, eq=False)
class GateLimits:
    """Limits within which an image can be judged; see :class:`ImageStatistics` for the units.

    Attributes:
        size_wh: Width and height of the nominal images; None if they differ.
        brightness: Minimum and maximum.
        saturated: Maximum.
        sharpness: Minimum.
        row_break: Maximum.
        flat_rows: Maximum.
        shift: Maximum offset of the scene from the reference, as a share of the side of the image.
        reference_hw: uint8, mean of the nominal images in grey; None if the scene is not steady, so that the
            position of the camera cannot be checked.
    """

    size_wh: tuple[int, int] | None
    brightness: tuple[float, float]
    saturated: float
    sharpness: float
    row_break: float
    flat_rows: float
    shift: float = 0.0
    reference_hw: NDArray[np.uint8] | None = None

    def check(self, image_rgb: NDArray[np.uint8]) -> str:
        """Return why an image is rejected, or an empty string."""
        return self.look(image_rgb).reason

    def look(self, image_rgb: NDArray[np.uint8]) -> QualityResult:
        """Measure an image and check it against the limits.

        For an image with the aspect ratio of the nominal images but another size, from half to twice theirs,
        only the light is checked: it can be judged, but its sharpness and rows are not comparable.
        """
        return self._look(measure_picture(image_rgb), lambda: grey_reference(image_rgb))

    def look_again(self, seen: ImageMeasures) -> QualityResult:
        """Return the result of :meth:`look` for an image that was already measured."""
        return self._look(seen.measures, lambda: seen.grey_hw)

    def _look(self, found: ImageStatistics, grey: Callable[[], NDArray[np.uint8]]) -> QualityResult:
        comparable = self.size_wh is None or found.size_wh == self.size_wh
        if reason := self._wrong_size(found.size_wh) or self._wrong_light(found):
            return QualityResult(reason, found, comparable=comparable)
        if not comparable:
            return QualityResult("", found, comparable=False)
        if reason := self._torn_or_blurred(found):
            return QualityResult(reason, found)
        if self.reference_hw is None:
            return QualityResult("", found)
        offset_xy, response = offset_from(self.reference_hw, grey())
        if response < STEADY_RESPONSE:
            return QualityResult("", found)
        return QualityResult(self._moved(math.hypot(*offset_xy)), found, offset_xy)

    def _wrong_size(self, size_wh: tuple[int, int]) -> str:
        if self.size_wh is None:
            return ""
        scale_x, scale_y = size_wh[0] / self.size_wh[0], size_wh[1] / self.size_wh[1]
        if abs(scale_x / scale_y - 1) <= _ASPECT_TOLERANCE and 0.5 <= scale_x <= 2.0:
            return ""
        learned = f"{self.size_wh[0]} x {self.size_wh[1]}"
        return f"wrong size: {size_wh[0]} x {size_wh[1]}, learned from images of {learned}"

    def _wrong_light(self, found: ImageStatistics) -> str:
        darkest, brightest = self.brightness
        if not darkest <= found.brightness <= brightest:
            word = "too dark" if found.brightness < darkest else "too bright"
            return f"{word}: mean {found.brightness:.0f} of 255, expected {darkest:.0f} to {brightest:.0f}"
        if found.saturated > self.saturated:
            return f"saturated: {found.saturated:.0%} of the image, expected at most {self.saturated:.0%}"
        return ""

    def _torn_or_blurred(self, found: ImageStatistics) -> str:
        if found.flat_rows > self.flat_rows:
            return f"torn: {found.flat_rows:.0%} of the rows are empty, expected at most {self.flat_rows:.0%}"
        if found.row_break > self.row_break:
            levels = f"a break of {found.row_break:.0f} grey levels between two rows"
            return f"torn: {levels}, expected at most {self.row_break:.0f}"
        if found.sharpness < self.sharpness:
            share = math.exp(found.sharpness - self.sharpness)
            return f"blurred: {share:.0%} of the sharpness that is needed"
        return ""

    def _moved(self, shift: float) -> str:
        if shift <= self.shift:
            return ""
        return f"the camera has moved: by {shift:.1%} of the image, expected at most {self.shift:.1%}"


def measure_picture(image_rgb: NDArray[np.uint8]) -> ImageStatistics:
    """Measure an image, uint8 [height, width, 3]."""
    height, width = image_rgb.shape[:2]
    grey = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
    scale = min(1.0, _LARGEST_PX / max(height, width))
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else grey
    # OpenCV's statistics take a tenth of NumPy's time, and they run for every frame.
    brightness, deviation = _mean_and_deviation(small)
    _, fine = _mean_and_deviation(cv2.Laplacian(small, cv2.CV_16S))
    _, white = cv2.threshold(small, _SATURATED_LEVEL - 1, 1, cv2.THRESH_BINARY)
    steps = cv2.reduce(cv2.absdiff(grey[1:], grey[:-1]), 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F)[:, 0]
    # OpenCV takes ten times as long as NumPy for the extremes of rows.
    flat = grey.max(axis=1) == grey.min(axis=1)
    return ImageStatistics(
        size_wh=(width, height),
        brightness=brightness,
        saturated=cv2.countNonZero(white) / white.size,
        sharpness=math.log((fine**2 + 1e-6) / (deviation**2 + 1e-6)),
        row_break=float((steps[1:-1] - np.maximum(steps[:-2], steps[2:])).max()),
        flat_rows=float(flat.mean()),
    )


def _mean_and_deviation(grey: NDArray[Any]) -> tuple[float, float]:
    mean, deviation = cv2.meanStdDev(grey)
    return float(mean[0, 0]), float(deviation[0, 0])


def glance(image_rgb: NDArray[np.uint8]) -> ImageMeasures:
    """Compute all measures of an image, uint8 [height, width, 3]."""
    return ImageMeasures(measure_picture(image_rgb), grey_reference(image_rgb))


def grey_reference(image_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the image in grey, uint8 [128, 128], for the comparison with the reference."""
    grey = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_REFERENCE_PX, _REFERENCE_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def offset_from(
    reference_hw: NDArray[np.uint8], grey_hw: NDArray[np.uint8]
) -> tuple[tuple[float, float], float]:
    """Return the offset from the reference, right and down as shares, and the correlation response."""
    (x, y), response = cv2.phaseCorrelate(
        reference_hw.astype(np.float32), grey_hw.astype(np.float32), _window()
    )
    return (x / _REFERENCE_PX, y / _REFERENCE_PX), float(response)


@cache
def _window() -> NDArray[Any]:
    return cv2.createHanningWindow((_REFERENCE_PX, _REFERENCE_PX), cv2.CV_32F)
