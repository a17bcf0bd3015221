"""A score map drawn on the picture it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .frames import Inspection

_DIMMED = 0.55
_FAINTEST, _STRONGEST = 0.30, 0.72
# Turbo from its yellow to its red: hotter is redder and darker, so also clear to the colour-blind.
_RAMP = (0.62, 0.90)


@dataclass(frozen=True)
class HeatScale:
    """Which map values get which colour, the same on every picture of a product.

    Attributes:
        low: Up to here nothing is coloured.
        high: From here on the colour is the strongest; above ``low``.
    """

    low: float
    high: float

    @classmethod
    def above(cls, threshold: float) -> HeatScale:
        """The usual scale: colours start at ``threshold`` and are strongest at twice its value."""
        return cls(threshold, threshold + max(abs(threshold), 1e-6))


def heatmap_overlay(
    image_rgb: NDArray[np.uint8],
    score_map_hw: NDArray[np.float32],
    map_to_picture: NDArray[np.float64],
    scale: HeatScale,
    *,
    mark_peak: bool = False,
) -> NDArray[np.uint8]:
    """Colour what scores above ``scale.low``, outline it, and dim what was not inspected.

    The colours follow ``scale`` and nothing else; a picture without anomalies stays as it is.

    Args:
        image_rgb: uint8 [height, width, 3]; not changed.
        score_map_hw: float32 [h, w], at the network's input size.
        map_to_picture: [2, 3]; takes (x, y, 1) of a map pixel's centre to that of the picture.
        scale: Map values and their colours.
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
    hot = seen * (scores > scale.low)
    left, top, width, height = cv2.boundingRect(hot)
    if width:
        box = (slice(top, top + height), slice(left, left + width))
        _colour(picture[box], scores[box], hot[box] > 0, scale)
        _outline(picture, hot)
    if mark_peak:
        _ring(picture, _peak_xy(score_map_hw, map_to_picture))
    return picture


def draw_findings(image_rgb: NDArray[np.uint8], inspection: Inspection) -> NDArray[np.uint8]:
    """Draw an inspection's heat on its picture, at the picture's own size.

    A picture that was not judged comes back as it is.
    """
    if inspection.score_map_hw is None or inspection.map_to_picture is None:
        return image_rgb
    return heatmap_overlay(
        image_rgb,
        inspection.score_map_hw,
        inspection.map_to_picture,
        HeatScale.above(inspection.map_threshold),
        mark_peak=not inspection.verdict.passes,
    )


def line_width(image_rgb: NDArray[np.uint8]) -> int:
    """Width in pixels of a thin line on a picture of this size."""
    shorter: int = min(image_rgb.shape[:2])
    return max(1, round(shorter / 500))


def _dim(picture: NDArray[np.uint8], where: NDArray[Any]) -> None:
    cv2.copyTo(cv2.convertScaleAbs(picture, alpha=_DIMMED), where, picture)


def _colour(
    picture: NDArray[np.uint8],
    scores: NDArray[Any],
    hot: NDArray[np.bool_],
    scale: HeatScale,
) -> None:
    strength = (scores[hot] - scale.low) / max(scale.high - scale.low, 1e-12)
    level = (np.clip(strength, 0, 1) * 255).astype(np.uint8)
    alpha = np.linspace(_FAINTEST, _STRONGEST, 256, dtype=np.float32)[level][:, None]
    mixed = picture[hot] * (1 - alpha) + _ramp_rgb()[level] * alpha
    picture[hot] = np.rint(mixed).astype(np.uint8)


@cache
def _ramp_rgb() -> NDArray[np.float32]:
    """float32 [256, 3], from just above ``low`` to ``high``."""
    levels = np.linspace(_RAMP[0] * 255, _RAMP[1] * 255, 256).astype(np.uint8)
    colours_bgr = cv2.applyColorMap(levels[:, None], cv2.COLORMAP_TURBO)
    return colours_bgr[:, 0, ::-1].astype(np.float32)


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
