"""Coloured surfaces and light: what turns fields into images, float32 [size, size, 3], 0 to 1."""

from math import cos, pi, sin

import cv2
import numpy as np
from numpy.typing import NDArray

from .fields import F32, Rng, f32, fractal, log_uniform, pattern


def colour(rng: Rng) -> F32:
    """A colour as things have it: grey to strong, dark to light."""
    saturation = float(rng.choice([0.0, rng.beta(1, 4), rng.random()], p=[0.3, 0.5, 0.2]))
    hsv = np.array([[[rng.uniform(0, 360), saturation, rng.uniform(0.05, 1.0)]]], np.float32)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).reshape(3).astype(np.float32)


def texture(rng: Rng, size: int) -> F32:
    """A flat piece of some material: one to three patterns in related colours."""
    picture = np.broadcast_to(colour(rng), (size, size, 3)).astype(np.float32)
    for _ in range(rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15])):
        field = pattern(rng, size)
        if rng.random() < 0.3:
            field = np.tanh(field * np.float32(log_uniform(rng, 0.5, 6)))
        if rng.random() < 0.7:  # the same hue, lighter and darker
            picture = picture * np.exp(np.float32(log_uniform(rng, 0.02, 0.5)) * field)[..., None]
        else:
            amount = np.clip(0.5 + field * np.float32(0.5), 0, 1)[..., None]
            picture = picture + amount * (colour(rng) - picture) * np.float32(rng.uniform(0.2, 1))
    if rng.random() < 0.35:
        picture = relief(rng, picture, pattern(rng, size) * np.float32(log_uniform(rng, 0.2, 4)))
    return np.clip(picture, 0, 1)


def relief(rng: Rng, albedo: F32, height: F32) -> F32:
    """Light a surface: diffuse and shining reflection of one lamp.

    Args:
        rng: Chooses lamp and gloss.
        albedo: Colours [size, size, 3].
        height: Height of the surface in pixels, [size, size].
    """
    slope_x = f32(cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=0.125))
    slope_y = f32(cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=0.125))
    direction, elevation = rng.uniform(0, 2 * pi), rng.uniform(0.3, 1.3)
    lamp = np.array([cos(direction) * cos(elevation), sin(direction) * cos(elevation), sin(elevation)])
    half = lamp + np.array([0.0, 0.0, 1.0])
    half /= np.linalg.norm(half)
    length = np.sqrt(1 + slope_x**2 + slope_y**2)
    diffuse = _dot(slope_x, slope_y, lamp) / length
    shine = np.clip(_dot(slope_x, slope_y, half) / length, 0, 1) ** np.float32(log_uniform(rng, 4, 200))
    ambient, gloss = rng.uniform(0.1, 0.6), rng.choice([0.0, rng.uniform(0, 1.2)])
    shaded = albedo * (ambient + (1 - ambient) * np.clip(diffuse, 0, None))[..., None]
    return f32(shaded + np.float32(gloss) * shine[..., None])


def photograph(rng: Rng, scene: F32) -> F32:
    """What a camera makes of a scene: uneven light, exposure, defocus, a colour cast.

    Sensor noise is left to the moment of use, so that no two uses share it.
    """
    size = scene.shape[0]
    picture = scene
    if rng.random() < 0.6:
        light = fractal(rng, size, 3.0) * np.float32(rng.uniform(0, 0.25))
        picture = picture * np.exp(light)[..., None]
    if rng.random() < 0.3:
        picture = picture * _spotlight(rng, size)[..., None]
    if rng.random() < 0.5:
        picture = picture * rng.uniform(0.88, 1.12, 3).astype(np.float32)
    if rng.random() < 0.2:
        picture = np.repeat(picture.mean(axis=2, keepdims=True), 3, axis=2)
    picture = np.clip(_exposed(rng, picture), 0, 1) ** np.float32(log_uniform(rng, 0.7, 1.5))
    if rng.random() < 0.4:
        picture = f32(cv2.GaussianBlur(picture, (0, 0), log_uniform(rng, 0.4, 2.5)))
    return f32(np.clip(picture, 0, 1))


def _exposed(rng: Rng, picture: F32) -> F32:
    """Mostly as a person would expose it: the bright parts bright; else a little too much or too little."""
    bright = float(np.percentile(picture[::4, ::4], 95))
    if rng.random() < 0.75 and bright > 0.01:
        return picture * np.float32(rng.uniform(0.4, 1.0) / bright)
    return picture * np.float32(log_uniform(rng, 0.6, 1.4))


def _spotlight(rng: Rng, size: int) -> F32:
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / np.float32(size)
    centre = rng.uniform(0, 1, 2).astype(np.float32)
    distance = (x - centre[0]) ** 2 + (y - centre[1]) ** 2
    fall = np.exp(-distance / np.float32(2 * rng.uniform(0.25, 0.8) ** 2))
    least = np.float32(rng.uniform(0.15, 0.8))
    return f32(least + (1 - least) * fall)


def _dot(slope_x: F32, slope_y: F32, direction: NDArray[np.float64]) -> F32:
    """Product of the unnormalised surface normal (-slope_x, -slope_y, 1) with a direction."""
    x, y, z = direction.astype(np.float32)
    return f32(z - x * slope_x - y * slope_y)
