"""Regions of an anomaly map: the connected areas above a threshold, in image coordinates."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..frames import Region

_MOST_REGIONS = 20
# Tolerance of contours in map pixels: finer than the resolution of a map smoothed with sigma 4.
_CONTOUR_TOLERANCE_PX = 0.75


def find_regions(
    score_map_hw: NDArray[np.float32],
    map_to_picture: NDArray[np.float64],
    threshold: float,
    *,
    most: int = _MOST_REGIONS,
) -> tuple[Region, ...]:
    """Find the connected areas above ``threshold``, highest peak first.

    Args:
        score_map_hw: float32 [h, w].
        map_to_picture: float64 [2, 3], affine map from (x, y, 1) of a map pixel centre to image coordinates.
        threshold: Map values above it belong to a region.
        most: The maximum number of regions.
    """
    hot = (score_map_hw > threshold).astype(np.uint8)
    count, labels_hw, stats, _ = cv2.connectedComponentsWithStats(hot, connectivity=8)
    found = [_region(score_map_hw, labels_hw == i, stats[i], map_to_picture) for i in range(1, count)]
    return tuple(sorted(found, key=lambda region: -region.peak)[:most])


def _region(
    score_map_hw: NDArray[np.float32],
    inside_hw: NDArray[np.bool_],
    stats: NDArray[Any],
    map_to_picture: NDArray[np.float64],
) -> Region:
    left, top, width, height, area = (int(value) for value in stats[:5])
    box = (slice(top, top + height), slice(left, left + width))
    values = np.where(inside_hw[box], score_map_hw[box], -np.inf)
    row, column = divmod(int(values.argmax()), width)
    outer, _ = cv2.findContours(
        inside_hw[box].astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=(left, top)
    )
    contour = cv2.approxPolyDP(max(outer, key=len), _CONTOUR_TOLERANCE_PX, closed=True)[:, 0]
    # A map pixel covers half a pixel on either side of its centre.
    corners = np.array([[left - 0.5, top - 0.5], [left + width - 0.5, top + height - 0.5]])
    (x0, y0), (x1, y1) = _to_picture(corners, map_to_picture) + 0.5
    pixel_area = abs(float(np.linalg.det(map_to_picture[:, :2])))
    return Region(
        box_xywh=(round(x0), round(y0), max(1, round(x1 - x0)), max(1, round(y1 - y0))),
        area_px=round(area * pixel_area, 1),
        peak=float(values[row, column]),
        peak_xy=_point(_to_picture(np.array([[left + column, top + row]]), map_to_picture)[0]),
        contour_xy=tuple(map(_point, _to_picture(contour, map_to_picture))),
    )


def _to_picture(points_xy: NDArray[Any], map_to_picture: NDArray[np.float64]) -> NDArray[np.float64]:
    moved: NDArray[np.float64] = points_xy @ map_to_picture[:, :2].T + map_to_picture[:, 2]
    return moved


def _point(xy: NDArray[np.float64]) -> tuple[int, int]:
    return round(float(xy[0])), round(float(xy[1]))
