"""Is this frame fit to be judged at all? What is not must never come out as OK or NG."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .limits import GateLimits, QualityResult

_SMALLEST_PX = 16
_SAMPLES_PER_SIDE = 256


class FrameGate:
    """Turns away images that show nothing: black, blank, overexposed, frozen or malformed.

    Looks at a grid of about 256 x 256 of an image's pixels, so that it costs about a millisecond.
    The limits are far from anything that a lit part looks like, so that only images without
    content are turned away; how sharp or well lit an image ought to be is for the product to say.

    With limits learned from nominal images it also turns away what is too dark or bright, saturated,
    blurred, torn, of another shape, or taken by a camera that has moved; see
    :class:`~pcedge.camera.GateLimits`.

    A camera's noise makes every image differ from the one before. One that is repeated byte for
    byte is the sign of a driver or a network that hands out an old image.

    Args:
        limits: Learned from nominal images; None for those that hold for any image.
        frozen_after: How often in a row the same image may be repeated; 0 does not look for it,
            as is right for files and for cameras whose compression hides the noise.
    """

    def __init__(self, limits: GateLimits | None = None, *, frozen_after: int = 25) -> None:
        self.limits = limits
        self._look: QualityResult | None = None
        self._frozen_after = frozen_after
        self._previous: NDArray[np.uint8] | None = None
        self._repeats = 0

    def check(self, image_rgb: NDArray[np.uint8]) -> str:
        """Return why ``image_rgb`` cannot be judged, or an empty string when it can.

        Args:
            image_rgb: uint8 [height, width, 3]; kept until the next call, so do not write to it.
        """
        self._look = None
        # Frozen comes before the limits: it remembers, so it must see every image.
        general = malformed(image_rgb) or without_content(image_rgb) or self._frozen(image_rgb)
        if general or self.limits is None:
            return general
        self._look = self.limits.look(image_rgb)
        return self._look.reason

    @property
    def look(self) -> QualityResult | None:
        """What was seen of the image checked last; None if the limits were not asked, or there are none."""
        return self._look

    def _frozen(self, image_rgb: NDArray[np.uint8]) -> str:
        if not self._frozen_after:
            return ""
        repeated = self._previous is not None and _same(image_rgb, self._previous)
        self._repeats = self._repeats + 1 if repeated else 0
        self._previous = image_rgb
        if self._repeats < self._frozen_after:
            return ""
        return f"frozen: the same image {self._repeats + 1} times in a row"


def malformed(image_rgb: NDArray[np.uint8]) -> str:
    """Return what is wrong with the array itself, or an empty string."""
    if image_rgb.dtype != np.uint8 or image_rgb.ndim != 3 or image_rgb.shape[2] != 3:
        return f"not an RGB image: {image_rgb.dtype} {image_rgb.shape}"
    height, width = image_rgb.shape[:2]
    if min(height, width) < _SMALLEST_PX:
        return f"too small: {width} x {height}, at least {_SMALLEST_PX} x {_SMALLEST_PX} is needed"
    return ""


def without_content(image_rgb: NDArray[np.uint8]) -> str:
    """Return why an image shows nothing, or an empty string.

    Black: mean below 4 and 99.9 % of the values below 16, so that a few lit pixels on black still
    count as an image. Overexposed: mean above 251. Blank: standard deviation below 1.5 in every
    channel, less than any sensor's noise over a lit scene. All in grey levels of 0 to 255.
    """
    sample = np.ascontiguousarray(_sample(image_rgb))
    means, deviations = cv2.meanStdDev(sample)
    mean = float(means.mean())
    if mean < 4 and np.percentile(sample, 99.9) < 16:
        return f"black: mean {mean:.1f} of 255"
    if mean > 251:
        return f"overexposed: mean {mean:.1f} of 255"
    deviation = float(deviations.max())
    if deviation < 1.5:
        return f"blank: one colour all over (standard deviation {deviation:.1f} of 255)"
    return ""


def _sample(image_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image_rgb.shape[:2]
    row_step, column_step = (max(1, side // _SAMPLES_PER_SIDE) for side in (height, width))
    return image_rgb[::row_step, ::column_step]


def _same(image_rgb: NDArray[np.uint8], previous: NDArray[np.uint8]) -> bool:
    # The sample nearly always differs, so the whole is compared only when there is reason to.
    sample_equal = np.array_equal(_sample(image_rgb), _sample(previous))
    return sample_equal and np.array_equal(image_rgb, previous)
