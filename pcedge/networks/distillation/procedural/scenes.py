"""Procedural scenes: textures alone, dead leaves, rendered parts, marked and patched surfaces."""

from collections.abc import Callable
from math import pi

import cv2
import numpy as np
from numpy.typing import NDArray

from .fields import F32, Rng, f32, fractal, log_uniform, normalised, pattern
from .marks import with_marks
from .materials import colour, photograph, relief, texture
from .shapes import Mask, contour, fixed_point, random_shape


def render(rng: Rng, size: int) -> NDArray[np.uint8]:
    """One made-up image, uint8 [size, size, 3], RGB."""
    scene = _SCENES[rng.choice(len(_SCENES), p=_SHARES)](rng, size)
    if rng.random() < 0.4:
        scene = with_marks(rng, scene)
    return np.rint(photograph(rng, scene) * 255).astype(np.uint8)


def dead_leaves(rng: Rng, size: int) -> F32:
    """Shapes that hide one another, sizes by a power law: edges and corners as photographs have them."""
    picture = texture(rng, size)
    stock = [texture(rng, size) for _ in range(rng.integers(1, 4))]
    smallest = log_uniform(rng, 3, 20)
    for _ in range(int(log_uniform(rng, 15, 250))):
        # Pareto: many small shapes and few large ones, so that every scale has about as many edges.
        reach = min(smallest * float(rng.random()) ** -0.6, size * 0.6)
        mask, (rows, columns) = random_shape(rng, size, reach)
        if mask.size == 0:
            continue
        leaf = stock[rng.integers(len(stock))][rows, columns] if rng.random() < 0.5 else colour(rng)
        if rng.random() < 0.5:
            leaf = leaf * np.float32(rng.uniform(0.5, 1.4))
        cover = (mask * np.float32(rng.choice([1.0, rng.uniform(0.2, 1)]) / 255))[..., None]
        picture[rows, columns] += cover * (leaf - picture[rows, columns])
    return np.clip(picture, 0, 1)


def part(rng: Rng, size: int) -> F32:
    """An object on a ground: an outline with holes, rims and steps, lit as a solid."""
    outline = _outline(rng, size)
    inside = _distance_inside(outline)
    height = _profile(rng, inside, size)
    for _ in range(rng.integers(0, 6)):
        feature, (rows, columns) = random_shape(rng, size, log_uniform(rng, 4, size / 5))
        if feature.size:
            depth = np.float32(rng.normal(0, 6))
            height[rows, columns] += depth * cv2.GaussianBlur(feature, (0, 0), 1.2) / np.float32(255)
    if rng.random() < 0.5:
        height += normalised(pattern(rng, size)) * np.float32(log_uniform(rng, 0.05, 1.0))
    material = texture(rng, size) if rng.random() < 0.5 else np.broadcast_to(colour(rng), (size, size, 3))
    solid = relief(rng, np.ascontiguousarray(material, np.float32), height)
    ground = texture(rng, size) if rng.random() < 0.5 else np.ones((size, size, 3), np.float32) * colour(rng)
    shift = rng.normal(0, 6, 2)
    shadow = cv2.warpAffine(outline, np.array([[1, 0, shift[0]], [0, 1, shift[1]]]), (size, size))
    shadow = cv2.GaussianBlur(shadow, (0, 0), log_uniform(rng, 1.5, 12)) * np.float32(
        rng.uniform(0, 0.7) / 255
    )
    cover = (cv2.GaussianBlur(outline, (0, 0), 0.7) / np.float32(255))[..., None]
    return f32(np.clip(ground * (1 - shadow[..., None]) * (1 - cover) + solid * cover, 0, 1))


def turned_part(rng: Rng, size: int) -> F32:
    """A body of revolution seen along its axis: a bottle's mouth, a washer, a lens, a cap."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    centre = rng.normal(size / 2, size * 0.08, 2)
    radius = np.hypot(
        x - np.float32(centre[0]), (y - np.float32(centre[1])) * np.float32(rng.normal(1, 0.05))
    )
    reach = rng.uniform(0.3, 0.75) * size
    # A random profile with steps: heights and colours are both functions of the radius.
    samples = int(reach) + 2
    steps = np.repeat(rng.standard_normal(samples // 8 + 1), 8)[:samples] * rng.choice([0.0, 3.0])
    smooth = np.cumsum(cv2.GaussianBlur(rng.standard_normal((samples, 1)), (1, 0), 0.1, sigmaY=4).ravel())
    profile = cv2.GaussianBlur((smooth + steps).astype(np.float32)[:, None], (1, 0), 0.1, sigmaY=1.5).ravel()
    index = np.arange(samples, dtype=np.float32)
    bands = np.stack([colour(rng) for _ in range(rng.integers(2, 6))])
    edges = np.sort(rng.uniform(0, reach, len(bands) - 1))
    albedo = bands[np.searchsorted(edges, radius.ravel())].reshape(size, size, 3)
    albedo = (
        cv2.GaussianBlur(albedo, (0, 0), 0.8)
        * np.exp(np.float32(log_uniform(rng, 0.01, 0.3)) * pattern(rng, size))[..., None]
    )
    height = np.interp(radius, index, profile * rng.uniform(0.5, 3)).astype(np.float32)
    solid = relief(rng, albedo, cv2.GaussianBlur(height, (0, 0), 1.0))
    ground = np.ones((size, size, 3), np.float32) * colour(rng) if rng.random() < 0.7 else texture(rng, size)
    cover = np.clip(np.float32(reach) - radius, 0, 1)[..., None]
    return f32(np.clip(ground * (1 - cover) + solid * cover, 0, 1))


def patchwork(rng: Rng, size: int) -> F32:
    """Two materials that meet along a smooth, a rough or a straight border."""
    field = fractal(rng, size, rng.uniform(1.2, 3))
    if rng.random() < 0.4:
        y, x = np.mgrid[0:size, 0:size].astype(np.float32)
        angle = rng.uniform(0, 2 * pi)
        line = (x - size / 2) * np.cos(angle) + (y - size / 2) * np.sin(angle)
        field = (line + rng.normal(0, size / 5)).astype(np.float32) / np.float32(size)
    sharpness = np.float32(log_uniform(rng, 3, 200))
    share = (0.5 + 0.5 * np.tanh(field * sharpness))[..., None]
    first, second = texture(rng, size), texture(rng, size)
    return f32(first + share * (second - first))


def _outline(rng: Rng, size: int) -> Mask:
    """A large shape near the middle, with holes."""
    mask = np.zeros((size, size), np.uint8)
    centre = rng.normal(size / 2, size * 0.06, 2)
    for _ in range(rng.integers(1, 4)):
        border = contour(rng, rng.uniform(0.2, 0.55) * size) + centre + rng.normal(0, size * 0.08, 2)
        cv2.fillPoly(mask, [fixed_point(border)], 255, cv2.LINE_AA, 4)
    for _ in range(rng.choice([0, 1, 3, 6])):
        hole = contour(rng, log_uniform(rng, 4, size / 8)) + centre + rng.normal(0, size * 0.15, 2)
        cv2.fillPoly(mask, [fixed_point(hole)], 0, cv2.LINE_AA, 4)
    return mask


def _distance_inside(outline: Mask) -> F32:
    solid = (outline > 127).astype(np.uint8)
    return cv2.distanceTransform(solid, cv2.DIST_L2, cv2.DIST_MASK_5).astype(np.float32)


def _profile(rng: Rng, inside: F32, size: int) -> F32:
    """Height of a solid by the distance from its border: chamfered, domed or stepped."""
    width = np.float32(log_uniform(rng, 2, size / 4))
    ramp = np.clip(inside / width, 0, 1)
    kind = rng.integers(3)
    if kind == 0:
        shape = ramp
    elif kind == 1:
        shape = np.sqrt(np.clip(ramp * (2 - ramp), 0, 1))
    else:
        shape = np.floor(ramp * 3) / 3
    return f32(cv2.GaussianBlur(f32(shape * width * np.float32(rng.uniform(0.2, 1))), (0, 0), 1.0))


_SCENES: tuple[Callable[[Rng, int], F32], ...] = (texture, dead_leaves, part, turned_part, patchwork)
_SHARES = (0.38, 0.22, 0.18, 0.1, 0.12)
