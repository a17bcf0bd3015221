"""The good part of the synthetic line: an aluminium flange, turned, drilled and marked.

Every feature writes antialiased slopes, groove directions and reflectances into the
surface; lengths are in the surface's units.
"""

from functools import lru_cache

import cv2
import numpy as np

from .mark import engrave
from .surface import F32, Pose, Surface, Window, blend

OUTER_RADIUS = 0.80
BORE_RADIUS = 0.185
HUB_FACE = (0.225, 0.335)
FLANGE_FACE = (0.47, 0.75)
BOLT_CIRCLE = 0.605
BOLT_COUNT = 6
COUNTERBORE_RADIUS = 0.098
BOLT_RADIUS = 0.056
DOWEL_ANGLE = np.pi / 6
DOWEL_RADIUS = 0.026

# Knots of the turned profile: radius, slope dh/dr, reflectance. The chamfers are where slope peaks.
_PROFILE = np.array(
    [
        (0.000, 0.00, 0.20),
        (0.186, 0.00, 0.20),
        (0.188, 0.48, 1.05),  # chamfer of the bore
        (0.208, 0.48, 1.05),
        (0.211, 0.00, 1.06),  # hub face
        (0.340, 0.00, 1.06),
        (0.343, -0.50, 1.00),  # hub chamfer, then the fillet to the flange, in its own shade
        (0.362, -0.50, 0.95),
        (0.366, -1.00, 0.36),
        (0.376, -0.30, 0.50),
        (0.392, 0.00, 0.88),
        (0.418, 0.00, 0.92),
        (0.420, -1.00, 0.45),  # seal groove
        (0.428, 0.00, 0.50),
        (0.444, 0.00, 0.52),
        (0.449, 0.55, 0.90),
        (0.456, 0.00, 0.94),  # flange face
        (0.764, 0.00, 0.94),
        (0.767, -0.46, 1.08),  # outer chamfer
        (0.792, -0.46, 1.02),
        (0.800, -1.20, 0.60),
        (2.000, 0.00, 0.60),
    ]
)


def build_surface(pose: Pose, size: int, hole_states: tuple[str, ...] = ()) -> Surface:
    """Machine a part and lay it on the mat.

    Args:
        pose: Where it lies and how it was turned.
        size: Height and width of the image in pixels.
        hole_states: For each bolt hole ``drilled``, ``spotted`` (no through hole) or ``missing``;
            all drilled by default.
    """
    axis = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(2 / size) - 1
    x = np.ascontiguousarray(np.broadcast_to(axis - np.float32(pose.centre_xy[0]), (size, size)))
    y = np.ascontiguousarray(np.broadcast_to(axis[:, None] - np.float32(pose.centre_xy[1]), (size, size)))
    radius = cv2.magnitude(x, y) + np.float32(1e-6)
    across_x, across_y = x / radius, y / radius
    slope, albedo = _turned_profile(radius, size)
    tool = _tool_marks(radius, x, y, pose)
    slope += tool * np.float32(0.075 * pose.finish)
    surface = Surface(
        x_hw=x,
        y_hw=y,
        slope_x_hw=slope * across_x,
        slope_y_hw=slope * across_y,
        across_x_hw=across_x,
        across_y_hw=across_y,
        sheen_hw=np.full_like(x, 1.0),
        gloss_hw=albedo * (1 + np.float32(0.24 * pose.finish) * tool),
        albedo_hw=albedo,
        cover_hw=np.zeros_like(x),
        mat_hw=_shadowed_mat(x, y, pose, size),
    )
    surface.cover_hw = surface.edge(np.float32(OUTER_RADIUS) - radius)
    _pierce(surface, (0.0, 0.0), BORE_RADIUS, depth=0.06, where=surface.window(0, 0, 0.2))
    for index in range(BOLT_COUNT):
        state = hole_states[index] if hole_states else "drilled"
        _bolt_hole(surface, bolt_centre(pose, index), state)
    dowel = pose.angle_rad + DOWEL_ANGLE
    dowel_xy = (BOLT_CIRCLE * np.cos(dowel), BOLT_CIRCLE * np.sin(dowel))
    _chamfered_hole(surface, dowel_xy, DOWEL_RADIUS, chamfer=0.010)
    engrave(surface, pose.angle_rad, BOLT_CIRCLE)
    return surface


def bolt_centre(pose: Pose, index: int) -> tuple[float, float]:
    """Centre of a bolt hole relative to the axis, in units."""
    angle = pose.angle_rad + index * 2 * np.pi / BOLT_COUNT
    return BOLT_CIRCLE * float(np.cos(angle)), BOLT_CIRCLE * float(np.sin(angle))


@lru_cache(maxsize=4)
def _profile_table(size: int) -> F32:
    """[2, n] slope and reflectance by radius, four entries a pixel, averaged over a pixel."""
    radius = np.arange(4 * size) / (2 * size)
    table = np.stack([np.interp(radius, _PROFILE[:, 0], _PROFILE[:, k]) for k in (1, 2)])
    averaged = cv2.GaussianBlur(table.astype(np.float32), (0, 0), 2.0, sigmaY=1e-3)
    return np.asarray(averaged, np.float32)


def _turned_profile(radius: F32, size: int) -> tuple[F32, F32]:
    """Slope and reflectance of the turned shape at each radius."""
    entry = (radius * np.float32(2 * size)).astype(np.int32)
    slope, albedo = _profile_table(size)
    return slope[entry], albedo[entry]


@lru_cache(maxsize=1)
def _tool_texture() -> F32:
    """[radius, angle] streaks left by the lathe, about -1..1; periodic in both directions."""
    rng = np.random.default_rng(6082)
    noise = rng.standard_normal((512, 512), np.float32)
    wide = np.concatenate([noise, noise, noise], axis=1)
    streaks = cv2.GaussianBlur(wide, (0, 0), 34, sigmaY=0.7)[:, 512:1024]
    rings = cv2.GaussianBlur(rng.standard_normal((512, 1), np.float32), (0, 0), 0.8)
    texture = streaks / streaks.std() * 0.55 + rings / rings.std() * 0.45
    return np.tile(texture, (2, 2)).astype(np.float32)


def _tool_marks(radius: F32, x: F32, y: F32, pose: Pose) -> F32:
    """The lathe's streaks in the image."""
    angle = cv2.phase(x, y) * np.float32(512 / (2 * np.pi))
    angle += np.float32(512 * pose.tool_phase[1])
    row = radius * np.float32(330.0) + np.float32(512 * pose.tool_phase[0])
    return np.asarray(
        cv2.remap(_tool_texture(), angle, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP),
        np.float32,
    )


def _chamfered_hole(surface: Surface, centre_xy: tuple[float, float], radius: float, chamfer: float) -> None:
    """Drill a hole whose rim is broken at an angle."""
    where = surface.window(*centre_xy, radius + chamfer)
    dx, dy = surface.x_hw[where] - centre_xy[0], surface.y_hw[where] - centre_xy[1]
    distance = cv2.magnitude(dx, dy) + np.float32(1e-6)
    rim = surface.edge(np.float32(radius + chamfer) - distance)
    blend(surface.slope_x_hw, where, 0.5 * dx / distance, rim)
    blend(surface.slope_y_hw, where, 0.5 * dy / distance, rim)
    blend(surface.gloss_hw, where, 1.0, rim)
    _pierce(surface, centre_xy, radius, depth=0.045, where=where)


def _bolt_hole(surface: Surface, centre_xy: tuple[float, float], state: str) -> None:
    """Counterbore and drill one bolt hole, or leave it at an earlier step."""
    if state == "missing":
        return
    where = surface.window(*centre_xy, COUNTERBORE_RADIUS)
    dx, dy = surface.x_hw[where] - centre_xy[0], surface.y_hw[where] - centre_xy[1]
    distance = cv2.magnitude(dx, dy) + np.float32(1e-6)
    ux, uy = dx / distance, dy / distance
    inside = surface.edge(np.float32(COUNTERBORE_RADIUS - 0.003) - distance, 2.5)
    wall = surface.edge(np.float32(0.012) - np.abs(distance - (COUNTERBORE_RADIUS - 0.010)), 2.5)
    ripple = np.float32(0.05) * np.sin(distance * np.float32(420.0))
    slope = np.float32(0.85) * wall + ripple
    blend(surface.slope_x_hw, where, slope * ux, inside)
    blend(surface.slope_y_hw, where, slope * uy, inside)
    blend(surface.across_x_hw, where, ux, inside)
    blend(surface.across_y_hw, where, uy, inside)
    # The floor lies deeper: less of the sky reaches it, least beside the wall.
    floor = np.float32(0.78) - np.float32(0.33) * surface.edge(
        distance - np.float32(COUNTERBORE_RADIUS - 0.02), 6.0
    )
    blend(surface.gloss_hw, where, floor, inside)
    blend(surface.albedo_hw, where, floor, inside)
    if state == "drilled":
        _chamfered_hole(surface, centre_xy, BOLT_RADIUS, chamfer=0.009)


def _pierce(
    surface: Surface,
    centre_xy: tuple[float, float],
    radius: float,
    *,
    depth: float,
    where: Window,
) -> None:
    """Open a hole through to the mat; the camera sees the wall on its outer side."""
    x, y = surface.x_hw[where], surface.y_hw[where]
    dx, dy = x - centre_xy[0], y - centre_xy[1]
    distance = cv2.magnitude(dx, dy) + np.float32(1e-6)
    opening = surface.edge(np.float32(radius) - distance)
    blend(surface.slope_x_hw, where, 0.7 * dx / distance, opening)
    blend(surface.slope_y_hw, where, 0.7 * dy / distance, opening)
    blend(surface.gloss_hw, where, 0.30, opening)
    blend(surface.albedo_hw, where, 0.22, opening)
    blend(surface.sheen_hw, where, 0.1, opening)
    # The lower rim is further from the lens, so it is smaller and nearer to the image's centre.
    shrink = 1 - depth
    below = cv2.magnitude(x - centre_xy[0] * shrink, y - centre_xy[1] * shrink)
    through = surface.edge(np.float32(radius * shrink) - below) * opening
    surface.cover_hw[where] *= 1 - through
    blend(surface.mat_hw, where, surface.mat_hw[where] * np.float32(0.28), opening)


def _shadowed_mat(x: F32, y: F32, pose: Pose, size: int) -> F32:
    """The mat's light, with the part's soft shadow falling away from the main light."""
    away_x, away_y = -0.045 * np.cos(pose.key_rad), -0.045 * np.sin(pose.key_rad)
    distance = cv2.magnitude(x - np.float32(away_x), y - np.float32(away_y))
    depth = np.clip((np.float32(OUTER_RADIUS + 0.075) - distance) * np.float32(1 / 0.15), 0, 1)
    shadow = depth * depth * (3 - 2 * depth)
    slant = 1 + np.float32(0.16) * (
        x * np.float32(np.cos(pose.key_rad)) + y * np.float32(np.sin(pose.key_rad))
    )
    return np.asarray(_mat_texture(size) * slant * (1 - np.float32(0.78) * shadow), np.float32)


@lru_cache(maxsize=4)
def _mat_texture(size: int) -> F32:
    """Dark pebbled rubber, lit from the upper left; it belongs to the fixture and stays put."""
    rng = np.random.default_rng(384)
    grain = cv2.GaussianBlur(rng.standard_normal((size, size), np.float32), (0, 0), size / 320)
    relief = cv2.Sobel(grain, cv2.CV_32F, 1, 0) + cv2.Sobel(grain, cv2.CV_32F, 0, 1)
    cloud = cv2.GaussianBlur(rng.standard_normal((size, size), np.float32), (0, 0), size / 24)
    shade = 1 + 0.15 * relief / relief.std() + 0.05 * cloud / cloud.std()
    return np.asarray(0.0135 * np.maximum(shade, 0.3), np.float32)
