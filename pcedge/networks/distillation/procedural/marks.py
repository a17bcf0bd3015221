"""Small faults on surfaces, so that the student learns how its teacher sees them."""

from collections.abc import Callable
from math import pi

import cv2
import numpy as np

from .fields import F32, Rng, fractal, log_uniform
from .materials import colour
from .shapes import Mask, fixed_point, random_shape

_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_PLAIN)
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-./+"


def with_marks(rng: Rng, scene: F32, count: int | None = None) -> F32:
    """The scene with small faults: scratches, spots, stains, cracks, print.

    Args:
        rng: Chooses them.
        scene: Image [size, size, 3], 0 to 1; it stays as it is.
        count: How many; None for one to five.
    """
    size = scene.shape[0]
    picture = scene.copy()
    for _ in range(rng.integers(1, 6) if count is None else count):
        ink = np.zeros((size, size), np.uint8)
        _MARKS[rng.integers(len(_MARKS))](rng, ink)
        soft = cv2.GaussianBlur(ink, (0, 0), log_uniform(rng, 0.4, 3)) if rng.random() < 0.7 else ink
        cover = (soft * np.float32(rng.uniform(0.1, 1) / 255))[..., None]
        tone = colour(rng) if rng.random() < 0.5 else picture * np.float32(log_uniform(rng, 0.3, 2.5))
        picture += cover * (tone - picture)
    return np.clip(picture, 0, 1)


def _scratch(rng: Rng, ink: Mask) -> None:
    _walk(rng, ink, bend=0.15, thickness=int(rng.choice([1, 1, 2, 3])))


def _crack(rng: Rng, ink: Mask) -> None:
    for _ in range(rng.integers(1, 4)):
        _walk(rng, ink, bend=1.2, thickness=1)


def _spot(rng: Rng, ink: Mask) -> None:
    mask, (rows, columns) = random_shape(rng, ink.shape[0], log_uniform(rng, 1.5, 25))
    np.maximum(ink[rows, columns], mask, out=ink[rows, columns])


def _stain(rng: Rng, ink: Mask) -> None:
    field = fractal(rng, ink.shape[0], rng.uniform(1.2, 2.4))
    ink[field > rng.uniform(1.2, 2.2)] = 255


def _print(rng: Rng, ink: Mask) -> None:
    text = "".join(rng.choice(list(_LETTERS), rng.integers(1, 9)))
    place = tuple(rng.integers(0, ink.shape[0], 2).tolist())
    font = _FONTS[rng.integers(len(_FONTS))]
    cv2.putText(ink, text, place, font, log_uniform(rng, 0.3, 2.5), 255, int(rng.integers(1, 4)), cv2.LINE_AA)


def _walk(rng: Rng, ink: Mask, *, bend: float, thickness: int) -> None:
    size = ink.shape[0]
    step = log_uniform(rng, 1.5, 10)
    angles = rng.uniform(0, 2 * pi) + np.cumsum(rng.normal(0, bend, rng.integers(4, 30)))
    path = rng.uniform(0, size, 2) + np.cumsum(np.stack([np.cos(angles), np.sin(angles)], 1) * step, axis=0)
    cv2.polylines(ink, [fixed_point(path)], False, 255, thickness, cv2.LINE_AA, 4)


_MARKS: tuple[Callable[[Rng, Mask], None], ...] = (_scratch, _crack, _spot, _stain, _print)
