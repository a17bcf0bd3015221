"""Variation at the moment of use: geometry, colour, focus and noise; and twins with a small local change."""

import cv2
import numpy as np
from numpy.typing import NDArray

from .procedural.fields import Rng, log_uniform
from .procedural.marks import with_marks
from .procedural.shapes import random_shape

Picture = NDArray[np.uint8]


def augmented(rng: Rng, picture: Picture, other: Picture, size: int) -> Picture:
    """A cut of an image, uint8 [size, size, 3], at times with a piece of the other one in it."""
    cut = _cut(rng, picture, size)
    if rng.random() < 0.2:
        mask, (rows, columns) = random_shape(rng, size, log_uniform(rng, size / 8, size))
        cover = (mask * np.float32(rng.choice([1.0, rng.uniform(0.3, 1)]) / 255))[..., None]
        piece = _cut(rng, other, size)[rows, columns]
        cut[rows, columns] = np.rint(cut[rows, columns] * (1 - cover) + piece * cover)
    return _sensed(rng, _recoloured(rng, cut))


def with_local_change(rng: Rng, cut: Picture) -> Picture:
    """The same cut with one or two small faults, or with a piece of it moved elsewhere."""
    if rng.random() < 0.3:
        return _displaced(rng, cut)
    scene = cut.astype(np.float32) / np.float32(255)
    return np.rint(with_marks(rng, scene, int(rng.integers(1, 3))) * 255).astype(np.uint8)


def _cut(rng: Rng, picture: Picture, size: int) -> Picture:
    extent = picture.shape[0]
    scale = log_uniform(rng, 0.8, 1.8)
    degrees = float(rng.choice([0, 90, 180, 270])) + float(rng.choice([0.0, rng.uniform(-45, 45)]))
    matrix = cv2.getRotationMatrix2D((extent / 2, extent / 2), degrees, scale)
    if rng.random() < 0.5:
        matrix = matrix @ np.array([[-1.0, 0.0, extent - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    slack = max(extent * scale - size, 0) / 2
    matrix[:, 2] += (size - extent) / 2 + rng.uniform(-slack, slack, 2)
    return np.asarray(
        cv2.warpAffine(
            picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        ),
        np.uint8,
    )


def _recoloured(rng: Rng, cut: Picture) -> Picture:
    if rng.random() < 0.25:
        cut = cut[..., rng.permutation(3)]
    if rng.random() < 0.15:
        cut = np.repeat(cv2.cvtColor(np.ascontiguousarray(cut), cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    if rng.random() < 0.06:
        cut = 255 - cut
    gain = log_uniform(rng, 0.75, 1.33) * rng.uniform(0.94, 1.06, 3)
    shift = rng.uniform(-20, 20)
    gamma = log_uniform(rng, 0.75, 1.33)
    level = np.arange(256)[:, None] / 255
    table = np.clip(level**gamma * 255 * gain + shift, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(np.ascontiguousarray(cut), table[None]), np.uint8)


def _sensed(rng: Rng, cut: Picture) -> Picture:
    """What the lens, the sensor and the file format do."""
    if rng.random() < 0.2:
        cut = np.asarray(cv2.GaussianBlur(cut, (0, 0), log_uniform(rng, 0.4, 2)), np.uint8)
    if rng.random() < 0.6:
        channels = int(rng.choice([1, 3]))
        noise = rng.standard_normal((*cut.shape[:2], channels), np.float32)
        noisy = cut + noise * np.float32(log_uniform(rng, 0.5, 12))
        cut = np.rint(np.clip(noisy, 0, 255)).astype(np.uint8)
    if rng.random() < 0.1:
        quality = int(rng.integers(40, 96))
        _, encoded = cv2.imencode(".jpg", cut, [cv2.IMWRITE_JPEG_QUALITY, quality])
        cut = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
    return cut


def _displaced(rng: Rng, cut: Picture) -> Picture:
    """A piece of the cut on top of another place: material and light fit, the structure does not."""
    size = cut.shape[0]
    mask, (rows, columns) = random_shape(rng, size, log_uniform(rng, 4, size / 6))
    if mask.size == 0:
        return cut.copy()
    shift = rng.integers(size // 8, size, 2)
    piece = np.roll(cut, shift, (0, 1))[rows, columns]
    soft = (cv2.GaussianBlur(mask, (0, 0), log_uniform(rng, 0.5, 2)) / np.float32(255))[..., None]
    changed = cut.copy()
    changed[rows, columns] = np.rint(cut[rows, columns] * (1 - soft) + piece * soft)
    return changed
