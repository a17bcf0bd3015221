"""Frame gate: rejects images that cannot be judged, so that they never get OK or NG."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray

from .limits import GateLimits, QualityResult

_SMALLEST_PX = 16
_SAMPLES_PER_SIDE = 256
# As many images may take turns and still be seen as repeated.
_MOST_TAKING_TURNS = 3


class FrameGate:
    """Rejects images without content: black, blank, overexposed, frozen or malformed.

    It samples about 256 x 256 pixels of an image, which takes about a millisecond. These general limits are
    far from any image of a lit part, so that only images without content are rejected. How sharp or bright an
    image must be depends on the product.

    With limits learned from nominal images it also rejects images that are too dark or bright, saturated,
    blurred, torn, of another shape, or taken by a camera that has moved; see
    :class:`~pcedge.camera.GateLimits`.

    Sensor noise makes images differ. One that is repeated byte for byte, or a few that take turns, are a sign
    of a driver or a network that returns old images.

    Args:
        limits: Limits learned from nominal images; None for the general limits only.
        frozen_after: How often in a row the same image may be repeated; 0 turns the check off, which is right
            for files.
    """

    def __init__(self, limits: GateLimits | None = None, *, frozen_after: int = 25) -> None:
        self.limits = limits
        self._look: QualityResult | None = None
        self._frozen_after = frozen_after
        self._previous: deque[NDArray[np.uint8]] = deque(maxlen=_MOST_TAKING_TURNS)
        self._repeats = self._taking_turns = 0

    def check(self, image_rgb: NDArray[np.uint8], *, may_repeat: bool = False) -> str:
        """Return why ``image_rgb`` cannot be judged, or an empty string when it can.

        Args:
            image_rgb: uint8 [height, width, 3]; kept for the next calls, so do not write to it.
            may_repeat: Whether equal images say nothing, as of H.264, which leaves out noise.
        """
        self._look = None
        # The frozen check comes before the limits: it has state, so it must see every image.
        general = malformed(image_rgb) or without_content(image_rgb) or self._frozen(image_rgb, may_repeat)
        if general or self.limits is None:
            return general
        self._look = self.limits.look(image_rgb)
        return self._look.reason

    @property
    def look(self) -> QualityResult | None:
        """Result for the last image; None if the learned limits were not checked, or there are none."""
        return self._look

    def _frozen(self, image_rgb: NDArray[np.uint8], may_repeat: bool) -> str:
        if not self._frozen_after or may_repeat:
            return ""
        same = next((n for n, one in enumerate(self._previous) if _same(image_rgb, one)), None)
        if same is None:
            self._repeats = self._taking_turns = 0
            self._previous.appendleft(image_rgb)
            return ""
        self._repeats += 1
        self._taking_turns = max(self._taking_turns, same + 1)
        if self._repeats < self._frozen_after * self._taking_turns:
            return ""
        which = "the same image" if self._taking_turns == 1 else "the same few images"
        return f"frozen: {which} {self._repeats + 1} times in a row"


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
    # The samples nearly always differ, so the whole images are compared only if they do not.
    sample_equal = np.array_equal(_sample(image_rgb), _sample(previous))
    return sample_equal and np.array_equal(image_rgb, previous)
