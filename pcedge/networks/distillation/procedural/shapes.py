"""Outlines and filled shapes, drawn with soft edges into masks uint8 [height, width], 0 to 255."""

from math import pi

import cv2
import numpy as np
from numpy.typing import NDArray

from .fields import Rng

Mask = NDArray[np.uint8]


def random_shape(rng: Rng, size: int, reach: float) -> tuple[Mask, tuple[slice, slice]]:
    """A filled shape at a random place: its mask within its window, and the window."""
    centre = rng.uniform(0, size, 2)
    low = np.clip(np.floor(centre - reach - 2), 0, size).astype(int)
    high = np.clip(np.ceil(centre + reach + 3), 0, size).astype(int)
    mask = np.zeros((max(high[1] - low[1], 0), max(high[0] - low[0], 0)), np.uint8)
    if mask.size:
        cv2.fillPoly(mask, [fixed_point(contour(rng, reach) + centre - low)], 255, cv2.LINE_AA, 4)
    return mask, (slice(low[1], high[1]), slice(low[0], high[0]))


def contour(rng: Rng, reach: float) -> NDArray[np.float64]:
    """Points (x, y) of an ellipse, rectangle, polygon, gear or blob within ``reach`` of the origin."""
    kind = rng.integers(5)
    corners = int(rng.integers(3, 8)) if kind == 1 else 64
    angle = np.linspace(0, 2 * pi, corners, endpoint=False)
    radius: NDArray[np.float64] = np.ones(corners)
    if kind == 2:
        half = rng.uniform(0.15, 0.6)
        angle = np.array([-half, half, pi - half, pi + half])
        radius = np.ones(4)
    elif kind == 3:
        teeth = np.sin(angle * rng.integers(3, 14)) > 0
        radius = np.where(teeth, rng.uniform(0.6, 0.95), 1.0)
    elif kind == 4:
        for wave in range(2, 6):
            radius = radius + rng.normal(0, 0.35 / wave) * np.sin(wave * angle + rng.uniform(0, 2 * pi))
        radius = radius / radius.max()
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle) * rng.uniform(0.3, 1)], 1) * reach
    turn = rng.uniform(0, 2 * pi)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    turned: NDArray[np.float64] = points @ rotation.T
    return turned


def fixed_point(points: NDArray[np.float64]) -> NDArray[np.int32]:
    """Pixels with four binary places, as OpenCV's drawing takes them."""
    return np.rint(points * 16).astype(np.int32)
