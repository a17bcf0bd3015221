"""Light, lens and sensor of the synthetic line.

Turned metal is lit with Ward's anisotropic lobe ("Measuring and modeling anisotropic reflection",
1992), which gives it its bow-tie reflections.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from .surface import F32, Pose, Surface


def photograph(surface: Surface, pose: Pose) -> F32:
    """Light the surface and focus it: float32 [h, w, 3], display values 0..255, without noise."""
    size = surface.x_hw.shape[0]
    key_xy = np.array([np.cos(pose.key_rad), np.sin(pose.key_rad)])
    fill_xy = np.array([np.cos(pose.key_rad + 2.75), np.sin(pose.key_rad + 2.75)])
    ambient = np.float32(0.125) - np.float32(0.13) * (
        surface.slope_x_hw * np.float32(key_xy[0]) + surface.slope_y_hw * np.float32(key_xy[1])
    )
    sky = np.maximum(ambient, np.float32(0.02)) * surface.albedo_hw
    key = _lobe(surface, pose.key_tilt * key_xy, 0.10) * surface.gloss_hw
    fill = _lobe(surface, 0.40 * fill_xy, 0.07) * surface.gloss_hw
    warm = pose.warmth
    colours = np.array(
        [
            [0.985, 0.66 * (1.01 + warm), 0.34 * 0.92],
            [1.000, 0.66 * 0.99, 0.34 * 1.00],
            [1.030, 0.66 * (0.95 - warm), 0.34 * 1.10],
        ],
        np.float32,
    )
    metal = np.asarray(cv2.transform(cv2.merge([sky, key, fill]), colours), np.float32)
    if surface.stain_hwc is not None:
        metal *= surface.stain_hwc
    gain = np.float32(pose.exposure) * (1 - np.float32(pose.vignette) * _corners(size))
    bare = (1 - surface.cover_hw) * surface.mat_hw * gain
    cover = cv2.cvtColor(surface.cover_hw * gain, cv2.COLOR_GRAY2RGB)
    mat = cv2.merge([bare * np.float32(0.94), bare, bare * np.float32(1.10)])
    metal = metal * np.asarray(cover, np.float32) + np.asarray(mat, np.float32)
    sigma = pose.blur_px * size / 384
    focused = cv2.GaussianBlur(metal, (0, 0), sigma)
    np.maximum(focused, 0, out=focused)
    # A camera's tone curve: gamma 2 with a soft shoulder, so that highlights keep their shape.
    return np.asarray(
        cv2.sqrt(cv2.divide(focused, focused + np.float32(0.62), scale=1.62 * 255**2)), np.float32
    )


def expose(image_hwc: F32, pose: Pose) -> NDArray[np.uint8]:
    """Add the sensor's noise; the same noise for every image of a pose."""
    size = image_hwc.shape[0]
    tile = _noise_tile(size)
    span = tile.shape[0] - size + 1
    row, column = pose.noise_seed % span, (pose.noise_seed // span) % span
    noise = tile[row : row + size, column : column + size]
    # Rounds and saturates.
    return np.asarray(cv2.add(image_hwc, noise, dtype=cv2.CV_8U), np.uint8)


def _lobe(surface: Surface, half_xy: NDArray[np.float64], nearness: float) -> F32:
    """Ward's anisotropic highlight of one softbox, in slope space; nearness bends it."""
    near = np.float32(nearness)
    off_x = np.float32(half_xy[0]) - near * surface.x_hw + surface.slope_x_hw
    off_y = np.float32(half_xy[1]) - near * surface.y_hw + surface.slope_y_hw
    across = off_x * surface.across_x_hw + off_y * surface.across_y_hw
    along = off_y * surface.across_x_hw - off_x * surface.across_y_hw
    # Along the grooves turned metal is smooth (0.15), across them rough (0.42).
    sharp = np.float32(5.7) + np.float32(38.0) * surface.sheen_hw
    across *= across
    along *= along
    along *= sharp
    across *= np.float32(5.7)
    across += along
    return np.exp(-across, out=across)


@lru_cache(maxsize=4)
def _corners(size: int) -> F32:
    """How far each pixel is on the way from the centre (0) to a corner (1), squared."""
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    return np.asarray((axis[None, :] ** 2 + axis[:, None] ** 2) / 2, np.float32)


@lru_cache(maxsize=4)
def _noise_tile(size: int) -> F32:
    """Sensor noise in display values: mostly brightness, a little colour; larger than an image."""
    rng = np.random.default_rng(2024)
    side = size + 64
    noise = rng.standard_normal((side, side, 3), np.float32) * np.float32(1.0)
    noise += rng.standard_normal((side, side, 1), np.float32) * np.float32(1.6)
    return noise
