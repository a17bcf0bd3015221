"""The engraving on the synthetic part: a part number and a square code, drawn as strokes."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from .surface import Surface, Window

# Strokes of the engraved mark, on cells 4 wide and 6 high with y down.
_GLYPHS: dict[str, tuple[tuple[tuple[int, int], ...], ...]] = {
    "P": (((0, 6), (0, 0), (3, 0), (4, 1), (4, 2), (3, 3), (0, 3)),),
    "C": (((4, 1), (3, 0), (1, 0), (0, 1), (0, 5), (1, 6), (3, 6), (4, 5)),),
    "E": (((4, 0), (0, 0), (0, 6), (4, 6)), ((0, 3), (3, 3))),
    "0": (((1, 0), (3, 0), (4, 1), (4, 5), (3, 6), (1, 6), (0, 5), (0, 1), (1, 0)),),
    "2": (((0, 1), (1, 0), (3, 0), (4, 1), (4, 2), (0, 6), (4, 6)),),
    "6": (((4, 0), (2, 0), (0, 3), (0, 5), (1, 6), (3, 6), (4, 5), (4, 4), (3, 3), (0, 3)),),
    "8": (
        ((1, 0), (3, 0), (4, 1), (4, 2), (3, 3), (1, 3), (0, 2), (0, 1), (1, 0)),
        ((1, 3), (0, 4), (0, 5), (1, 6), (3, 6), (4, 5), (4, 4), (3, 3)),
    ),
    "-": (((0, 3), (4, 3)),),
}
_MARK = "PCE-6082"


def engrave(surface: Surface, angle_rad: float, radius: float) -> None:
    """Mark the part number along a circle of the flange and a square code opposite.

    Args:
        surface: Receives the marks.
        angle_rad: How far the part is turned.
        radius: Radius of the circle through the middle of both marks, in units.
    """
    canvas = np.zeros(surface.x_hw.shape, np.uint8)
    thickness = max(1, round(surface.unit_px / 190))
    for strokes in _mark_strokes(radius):
        line = surface.to_pixels(_turn(strokes, angle_rad))
        cv2.polylines(canvas, [line], False, 255, thickness, cv2.LINE_AA, 4)
    for module in _code_modules(radius):
        square = surface.to_pixels(_turn(module, angle_rad))
        cv2.fillPoly(canvas, [square], 215, cv2.LINE_AA, 4)
    for side in (-radius, radius):
        ((x, y),) = _turn(np.array([[0.0, side]]), angle_rad)
        _sink(surface, canvas, surface.window(x, y, 0.24))


def _sink(surface: Surface, canvas: NDArray[np.uint8], where: Window) -> None:
    """Cut what is drawn into a window of the surface; the laser leaves it dark and matt."""
    depth = canvas[where].astype(np.float32) / np.float32(255)
    surface.emboss(depth * np.float32(-0.28), where)
    surface.sheen_hw[where] *= 1 - np.float32(0.9) * depth
    surface.gloss_hw[where] *= 1 - np.float32(0.78) * depth
    surface.albedo_hw[where] *= 1 - np.float32(0.60) * depth


@lru_cache(maxsize=1)
def _mark_strokes(circle: float) -> tuple[NDArray[np.float64], ...]:
    """The part number's strokes, bent along the bolt circle at the top; units."""
    cell, height = 0.0115, 0.0105
    strokes = []
    for index, letter in enumerate(_MARK):
        left = (index - len(_MARK) / 2) * 5.1 + 0.55
        for stroke in _GLYPHS[letter]:
            points = np.array(stroke, np.float64)
            radius = circle + (3 - points[:, 1]) * height
            angle = -np.pi / 2 + (left + points[:, 0]) * cell * 0.85 / circle
            strokes.append(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1))
    return tuple(strokes)


@lru_cache(maxsize=1)
def _code_modules(circle: float) -> tuple[NDArray[np.float64], ...]:
    """The dark squares of a data-matrix-like code at the bottom; units."""
    count, pitch = 10, 0.0160
    bits = np.random.default_rng(12).random((count, count)) < 0.5
    bits[:, 0] = bits[-1, :] = True
    bits[0, :] = bits[:, -1] = np.arange(count) % 2 == 0
    corners = np.array([(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
    offset = np.array([-count / 2, -count / 2])
    return tuple(
        (corners + np.array([column, row]) + offset) * pitch + np.array([0.0, circle])
        for row, column in np.argwhere(bits)
    )


def _turn(points_xy: NDArray[np.float64], angle_rad: float) -> NDArray[np.float64]:
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    turned: NDArray[np.float64] = points_xy @ np.array([[cosine, sine], [-sine, cosine]])
    return turned
