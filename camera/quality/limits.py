"""What an image must be to be judged: how bright, how sharp, how steady, learned from good ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# Compared by phase correlation at this size.
_REFERENCE_PX = 128
# What resembles the reference less shows another scene, or none that can be told apart.
STEADY_RESPONSE = 0.1
_ASPECT_TOLERANCE = 0.02
# Sharpness is measured on an image no larger than this, which takes a millisecond or two.
_LARGEST_PX = 1024
_SATURATED_LEVEL = 250


@dataclass(frozen=True)
class ImageStatistics:
    """An image in numbers; grey levels are those of 0 to 255.

    Attributes:
        size_wh: Width and height.
        brightness: Mean grey level.
        saturated: Share of pixels at or close to white.
        sharpness: Natural logarithm of the Laplacian's variance over the image's own.
        row_break: By how many grey levels the largest step between two neighbouring rows exceeds the steps
            before and after it. An edge in the scene is spread over rows by the optics; where the rows of two
            images meet it is not.
        flat_rows: Share of rows in which all pixels are the same, as in a band that was never received.
    """

    size_wh: tuple[int, int]
    brightness: float
    saturated: float
    sharpness: float
    row_break: float
    flat_rows: float


@dataclass(frozen=True, eq=False)
class ImageMeasures:
    """All of an image that the limits are about.

    Attributes:
        measures: The image in numbers.
        grey_hw: uint8 [128, 128], as it is compared with the reference.
    """

    measures: ImageStatistics
    grey_hw: NDArray[np.uint8]


@dataclass(frozen=True)
class QualityResult:
    """What the gate saw of an image.

    Attributes:
        reason: What is wrong with it; empty if nothing is.
        measures: The image in numbers.
        offset_xy: How far the scene lies to the right of the reference and below it, as shares of the
            image's sides; None where that was not looked at, or cannot be told.
        comparable: Whether it is of the nominal pictures' size, so that its sharpness may be compared too.
    """

    reason: str
    measures: ImageStatistics
    offset_xy: tuple[float, float] | None = None
    comparable: bool = True


@dataclass(frozen=True, eq=False)
class GateLimits:
    """What an image may be and still be fit to be judged; see :class:`ImageStatistics` for the units.

    Attributes:
        size_wh: Width and height of the nominal images; None if they differ.
        brightness: Lowest and highest.
        saturated: Highest.
        sharpness: Lowest.
        row_break: Highest.
        flat_rows: Highest.
        shift: How far the scene may lie from the reference, as a share of the image's side.
        reference_hw: uint8, the mean nominal image in grey; None if the scene is not steady, so that
            nothing can be said of the camera's place.
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
        """Return what is wrong with an image, or an empty string."""
        return self.look(image_rgb).reason

    def look(self, image_rgb: NDArray[np.uint8]) -> QualityResult:
        """Measure an image and say what is wrong with it.

        An image of the nominal ones' shape but another size, up to twice or half of theirs, is only compared
        in brightness: it can be judged, but its sharpness and its rows are others.
        """
        return self._look(measure_picture(image_rgb), lambda: grey_reference(image_rgb))

    def look_again(self, seen: ImageMeasures) -> QualityResult:
        """What ``look`` says of the image that was glanced at."""
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
    # OpenCV's statistics take a tenth of NumPy's time, and every frame waits for them.
    brightness, deviation = _mean_and_deviation(small)
    _, fine = _mean_and_deviation(cv2.Laplacian(small, cv2.CV_16S))
    _, white = cv2.threshold(small, _SATURATED_LEVEL - 1, 1, cv2.THRESH_BINARY)
    steps = cv2.reduce(cv2.absdiff(grey[1:], grey[:-1]), 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F)[:, 0]
    # But not its extremes of rows, which take ten times as long.
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
    """Glance at an image, uint8 [height, width, 3]."""
    return ImageMeasures(measure_picture(image_rgb), grey_reference(image_rgb))


def grey_reference(image_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image in grey, uint8 [128, 128], as it is compared with the reference."""
    grey = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_REFERENCE_PX, _REFERENCE_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def offset_from(
    reference_hw: NDArray[np.uint8], grey_hw: NDArray[np.uint8]
) -> tuple[tuple[float, float], float]:
    """How far an image lies to the right of the reference and below, in shares, and how sure that is."""
    (x, y), response = cv2.phaseCorrelate(
        reference_hw.astype(np.float32), grey_hw.astype(np.float32), _window()
    )
    return (x / _REFERENCE_PX, y / _REFERENCE_PX), float(response)


@cache
def _window() -> NDArray[Any]:
    return cv2.createHanningWindow((_REFERENCE_PX, _REFERENCE_PX), cv2.CV_32F)
