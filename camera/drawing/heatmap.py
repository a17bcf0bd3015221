"""A score map drawn on the image it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ..frames import Inspection, Verdict

_DIMMED = 0.55
_LEVELS = 256


@dataclass(frozen=True)
class HeatScale:
    """Which map values get which colour, the same on every image of a product.

    Yellow says REVIEW, orange to dark red says NG; darker and stronger is more, so also clear to the
    colour-blind. Between the two the colour jumps.

    Attributes:
        ng: Up to here, or up to ``review`` where there is one, nothing is coloured; above it colours say NG,
            and are strongest at twice its value.
        review: Above it, up to ``ng``, colours say REVIEW; None for no REVIEW.
        most: The verdict beyond which colours do not go: what exceeds it has the strongest colour of REVIEW.
    """

    ng: float
    review: float | None = None
    most: Literal[Verdict.REVIEW, Verdict.NG] = Verdict.NG

    @classmethod
    def of(cls, inspection: Inspection) -> HeatScale | None:
        """The scale for a judged image; None for one without colours.

        The map is smoothed and has thresholds of its own, so that once in a while it says more than the
        score, which the verdict is of. An image never says more than its verdict: one that is OK has no
        colours, one for REVIEW none of NG.
        """
        if inspection.verdict is Verdict.NG:
            return cls(inspection.map_threshold, inspection.review_map_threshold)
        if inspection.verdict is Verdict.REVIEW:
            return cls(inspection.map_threshold, inspection.review_map_threshold, Verdict.REVIEW)
        return None

    @property
    def low(self) -> float:
        """Up to here nothing is coloured."""
        return self.ng if self.review is None else min(self.review, self.ng)

    @property
    def high(self) -> float:
        """From here on the colour is the strongest."""
        return self.ng + max(abs(self.ng), 1e-6)

    def levels(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """How strongly values are coloured: 0 for not at all, to 127 for REVIEW, from 128 for NG."""
        review = 1 + 126 * (values - self.low) / max(self.ng - self.low, 1e-12)
        ng = 128 + 127 * (values - self.ng) / (self.high - self.ng)
        rising = np.where(values > self.ng, np.minimum(ng, 255), np.minimum(review, 127))
        rising = np.where(values > self.low, rising, 0)
        return np.minimum(rising, 127 if self.most is Verdict.REVIEW else 255).astype(np.uint8)


def heat_colours() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of every level of a scale its colour, float32 [256, 3], and how much it covers, float32 [256, 1]."""
    at = [0, 1, 127, 128, 190, 255]  # REVIEW up to 127, NG from 128
    stops = np.array([(255, 242, 140)] * 2 + [(255, 202, 10), (250, 108, 16), (214, 24, 26), (168, 0, 34)])
    levels = np.arange(_LEVELS)
    colours = np.stack([np.interp(levels, at, stops[:, channel]) for channel in range(3)], axis=1)
    covers = np.interp(levels, at, [0, 0.30, 0.52, 0.56, 0.66, 0.76])
    return colours.astype(np.float32), covers.astype(np.float32)[:, None]


def heatmap_overlay(
    image_rgb: NDArray[np.uint8],
    score_map_hw: NDArray[np.float32],
    map_to_picture: NDArray[np.float64],
    scale: HeatScale | None,
    *,
    mark_peak: bool = False,
) -> NDArray[np.uint8]:
    """Colour what scores above ``scale.low``, outline it, and dim what was not inspected.

    The colours follow ``scale`` and nothing else; an image without anomalies stays as it is.

    Args:
        image_rgb: uint8 [height, width, 3]; not changed.
        score_map_hw: float32 [h, w], at the network's input size.
        map_to_picture: [2, 3]; takes (x, y, 1) of a map pixel's centre to that of the image.
        scale: Map values and their colours; None for none.
        mark_peak: Draw a ring around the highest value of the map.

    Returns:
        uint8 RGB of the size of ``image_rgb``.
    """
    size_wh = (image_rgb.shape[1], image_rgb.shape[0])
    scores: NDArray[Any] = cv2.warpAffine(
        np.asarray(score_map_hw, np.float32),
        map_to_picture,
        size_wh,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    # Nearest neighbour reaches half a pixel around the centres: exactly the area that was seen.
    seen: NDArray[Any] = cv2.warpAffine(
        np.full(score_map_hw.shape, 255, np.uint8),
        map_to_picture,
        size_wh,
        flags=cv2.INTER_NEAREST,
    )
    picture = image_rgb.copy()
    _dim(picture, cv2.bitwise_not(seen))
    if scale is not None:
        _heat(picture, scores, seen, scale)
    if mark_peak:
        _ring(picture, _peak_xy(score_map_hw, map_to_picture))
    return picture


def draw_findings(image_rgb: NDArray[np.uint8], inspection: Inspection) -> NDArray[np.uint8]:
    """Draw an inspection's heat on its image, at the image's own size.

    An image that was not judged comes back as it is.
    """
    if inspection.score_map_hw is None or inspection.map_to_picture is None:
        return image_rgb
    return heatmap_overlay(
        image_rgb,
        inspection.score_map_hw,
        inspection.map_to_picture,
        HeatScale.of(inspection),
        mark_peak=not inspection.verdict.passes,
    )


def line_width(image_rgb: NDArray[np.uint8]) -> int:
    """Width in pixels of a thin line on an image of this size."""
    shorter: int = min(image_rgb.shape[:2])
    return max(1, round(shorter / 500))


def _dim(picture: NDArray[np.uint8], where: NDArray[Any]) -> None:
    cv2.copyTo(cv2.convertScaleAbs(picture, alpha=_DIMMED), where, picture)


def _heat(picture: NDArray[np.uint8], scores: NDArray[Any], seen: NDArray[Any], scale: HeatScale) -> None:
    hot = seen * (scores > scale.low)
    left, top, width, height = cv2.boundingRect(hot)
    if width:
        box = (slice(top, top + height), slice(left, left + width))
        _colour(picture[box], scores[box], hot[box] > 0, scale)
        _outline(picture, hot)


def _colour(
    picture: NDArray[np.uint8],
    scores: NDArray[Any],
    hot: NDArray[np.bool_],
    scale: HeatScale,
) -> None:
    levels = scale.levels(scores[hot])
    colours, covers = heat_colours()
    mixed = picture[hot] * (1 - covers[levels]) + colours[levels] * covers[levels]
    picture[hot] = np.rint(mixed).astype(np.uint8)


def _outline(picture: NDArray[np.uint8], hot: NDArray[Any]) -> None:
    contours, _ = cv2.findContours(hot, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    white = (255, 255, 255)
    cv2.drawContours(picture, contours, -1, white, line_width(picture), cv2.LINE_AA)


def _peak_xy(score_map_hw: NDArray[np.float32], map_to_picture: NDArray[np.float64]) -> tuple[int, int]:
    row, column = divmod(int(np.argmax(score_map_hw)), score_map_hw.shape[1])
    x, y = map_to_picture @ np.array([column, row, 1.0])
    return round(float(x)), round(float(y))


def _ring(picture: NDArray[np.uint8], centre_xy: tuple[int, int]) -> None:
    """A white ring with a dark edge, to be seen on any ground."""
    width = line_width(picture)
    radius = max(4, round(min(picture.shape[:2]) * 0.035))
    cv2.circle(picture, centre_xy, radius, (0, 0, 0), width + 2, cv2.LINE_AA)
    cv2.circle(picture, centre_xy, radius, (255, 255, 255), width, cv2.LINE_AA)
