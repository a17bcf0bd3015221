"""Heatmap overlay: an anomaly map drawn on its image, with a fixed colour scale per product."""

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
    """Colour scale of the heatmap: anomaly map values to colours, the same for all images of a product.

    Yellow means REVIEW, orange to dark red means NG. Higher values are darker and more opaque, so the scale
    can be read with colour vision deficiency too. The colour changes abruptly between REVIEW and NG.

    Attributes:
        ng: Map values above it are drawn in NG colours, the strongest at twice this value. Lower values are
            not coloured, except between ``review`` and ``ng``.
        review: Map values above it, up to ``ng``, are drawn in REVIEW colours; None for no REVIEW.
        most: The highest verdict that is shown: with REVIEW, higher values get the strongest REVIEW colour.
    """

    ng: float
    review: float | None = None
    most: Literal[Verdict.REVIEW, Verdict.NG] = Verdict.NG

    @classmethod
    def of(cls, inspection: Inspection) -> HeatScale | None:
        """Return the colour scale for an inspection; None if nothing is to be coloured.

        The map is smoothed and has its own thresholds, so it sometimes exceeds them when the score does not.
        A heatmap never shows more than the verdict: an OK image has no colours, a REVIEW image has no NG
        colours.
        """
        if inspection.verdict is Verdict.NG:
            return cls(inspection.map_threshold, inspection.review_map_threshold)
        if inspection.verdict is Verdict.REVIEW:
            return cls(inspection.map_threshold, inspection.review_map_threshold, Verdict.REVIEW)
        return None

    @property
    def low(self) -> float:
        """Map values up to this one are not coloured."""
        return self.ng if self.review is None else min(self.review, self.ng)

    @property
    def high(self) -> float:
        """Map values from this one on have the strongest colour."""
        return self.ng + max(abs(self.ng), 1e-6)

    def levels(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Convert map values to colour levels: 0 for no colour, 1 to 127 for REVIEW, 128 to 255 for NG."""
        review = 1 + 126 * (values - self.low) / max(self.ng - self.low, 1e-12)
        ng = 128 + 127 * (values - self.ng) / (self.high - self.ng)
        rising = np.where(values > self.ng, np.minimum(ng, 255), np.minimum(review, 127))
        rising = np.where(values > self.low, rising, 0)
        return np.minimum(rising, 127 if self.most is Verdict.REVIEW else 255).astype(np.uint8)


def heat_colours() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the colour of every level, float32 [256, 3], and its opacity, float32 [256, 1]."""
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
    """Colour and outline the areas above ``scale.low``, and dim the area that was not inspected.

    The colours depend only on ``scale``; an image without anomalies is not changed.

    Args:
        image_rgb: uint8 [height, width, 3]; not changed.
        score_map_hw: float32 [h, w], at the network's input size.
        map_to_picture: [2, 3], affine map from (x, y, 1) of a map pixel centre to image coordinates.
        scale: The colour scale; None for no colours.
        mark_peak: Draw a ring around the highest value of the map.

    Returns:
        uint8 RGB, the same size as ``image_rgb``.
    """
    size_wh = (image_rgb.shape[1], image_rgb.shape[0])
    scores: NDArray[Any] = cv2.warpAffine(
        np.asarray(score_map_hw, np.float32),
        map_to_picture,
        size_wh,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    # Nearest neighbour covers half a pixel around the centres: exactly the area that was inspected.
    seen: NDArray[Any] = cv2.warpAffine(
        np.full(score_map_hw.shape, 255, np.uint8),
        map_to_picture,
        size_wh,
        flags=cv2.INTER_NEAREST,
    )
    drawn = image_rgb.copy()
    _dim(drawn, cv2.bitwise_not(seen))
    if scale is not None:
        _heat(drawn, scores, seen, scale)
    if mark_peak:
        _ring(drawn, _peak_xy(score_map_hw, map_to_picture))
    return drawn


def draw_findings(image_rgb: NDArray[np.uint8], inspection: Inspection) -> NDArray[np.uint8]:
    """Draw the heatmap of an inspection on its image, at the size of the image.

    An image that was not judged is returned unchanged.
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
    """Return the width in pixels of a thin line on an image of this size."""
    shorter: int = min(image_rgb.shape[:2])
    return max(1, round(shorter / 500))


def _dim(drawn: NDArray[np.uint8], where: NDArray[Any]) -> None:
    cv2.copyTo(cv2.convertScaleAbs(drawn, alpha=_DIMMED), where, drawn)


def _heat(drawn: NDArray[np.uint8], scores: NDArray[Any], seen: NDArray[Any], scale: HeatScale) -> None:
    hot = seen * (scores > scale.low)
    left, top, width, height = cv2.boundingRect(hot)
    if width:
        box = (slice(top, top + height), slice(left, left + width))
        _colour(drawn[box], scores[box], hot[box] > 0, scale)
        _outline(drawn, hot)


def _colour(
    drawn: NDArray[np.uint8],
    scores: NDArray[Any],
    hot: NDArray[np.bool_],
    scale: HeatScale,
) -> None:
    levels = scale.levels(scores[hot])
    colours, covers = heat_colours()
    mixed = drawn[hot] * (1 - covers[levels]) + colours[levels] * covers[levels]
    drawn[hot] = np.rint(mixed).astype(np.uint8)


def _outline(drawn: NDArray[np.uint8], hot: NDArray[Any]) -> None:
    contours, _ = cv2.findContours(hot, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    white = (255, 255, 255)
    cv2.drawContours(drawn, contours, -1, white, line_width(drawn), cv2.LINE_AA)


def _peak_xy(score_map_hw: NDArray[np.float32], map_to_picture: NDArray[np.float64]) -> tuple[int, int]:
    row, column = divmod(int(np.argmax(score_map_hw)), score_map_hw.shape[1])
    x, y = map_to_picture @ np.array([column, row, 1.0])
    return round(float(x)), round(float(y))


def _ring(drawn: NDArray[np.uint8], centre_xy: tuple[int, int]) -> None:
    """Draw a white ring with a dark edge, which is visible on any background."""
    width = line_width(drawn)
    radius = max(4, round(min(drawn.shape[:2]) * 0.035))
    cv2.circle(drawn, centre_xy, radius, (0, 0, 0), width + 2, cv2.LINE_AA)
    cv2.circle(drawn, centre_xy, radius, (255, 255, 255), width, cv2.LINE_AA)
