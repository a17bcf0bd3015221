"""The defects of the synthetic line: each changes the surface of an otherwise good part.

A defect is a function of the surface, the part's pose, a random generator and a strength factor. It
draws from the generator in a fixed order, so the same seed puts the same defect in the same place
whatever the strength.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from .part import (
    BOLT_COUNT,
    BORE_RADIUS,
    COUNTERBORE_RADIUS,
    DOWEL_ANGLE,
    FLANGE_FACE,
    HUB_FACE,
    OUTER_RADIUS,
    bolt_centre,
)
from .surface import F32, Pose, Surface, Window, blend


def missing_hole(rng: np.random.Generator) -> tuple[str, ...]:
    """States of the bolt holes with one of them not drilled, or not drilled through."""
    states = ["drilled"] * BOLT_COUNT
    states[int(rng.integers(BOLT_COUNT))] = "missing" if rng.random() < 0.6 else "spotted"
    return tuple(states)


def scratch(surface: Surface, pose: Pose, rng: np.random.Generator, strength: float) -> None:
    """One to three grooves side by side, fading out at their ends."""
    middle = _spot_on_metal(pose, rng, clearance=0.03)
    length, heading = rng.uniform(0.14, 0.46), rng.uniform(0, np.pi)
    bend, width_px = rng.uniform(-0.09, 0.09), rng.uniform(0.45, 0.85)
    depth = strength * rng.uniform(0.45, 1.0)
    ahead = np.array([np.cos(heading), np.sin(heading)])
    aside = np.array([-ahead[1], ahead[0]])
    way = np.linspace(-0.5, 0.5, 48)
    path = middle + length * (way[:, None] * ahead + (bend * 4 * way**2)[:, None] * aside)
    canvas = np.zeros(surface.x_hw.shape, np.uint8)
    for lane in range(int(rng.choice([1, 2, 3], p=[0.55, 0.25, 0.2]))):
        trim = slice(int(rng.integers(0, 14)) * min(lane, 1), 48 - int(rng.integers(0, 14)))
        _fading_line(surface, canvas, (path + lane * rng.uniform(0.014, 0.024) * aside)[trim])
    where = surface.window(middle[0], middle[1], 0.62 * length + 0.1)
    lines = cv2.GaussianBlur(canvas[where].astype(np.float32) / 255, (0, 0), width_px)
    groove = np.asarray(lines, np.float32) * surface.cover_hw[where]
    surface.emboss(groove * np.float32(-1.5 * depth), where)
    # Fresh metal, burred at the sides: matt, so bright where the turned face is dark.
    surface.sheen_hw[where] *= 1 - np.minimum(groove * 1.5, 0.95)
    surface.albedo_hw[where] *= 1 + np.float32(1.3 * depth) * groove
    surface.gloss_hw[where] *= 1 - np.float32(0.5 * min(depth, 1.2)) * groove


def dent(surface: Surface, pose: Pose, rng: np.random.Generator, strength: float) -> None:
    """A dimple from a knock, with the metal pushed up around it."""
    at = _spot_on_metal(pose, rng, clearance=0.05)
    reach, squeeze, heading = rng.uniform(0.028, 0.062), rng.uniform(0.6, 1.0), rng.uniform(0, 3.14)
    steep = strength * rng.uniform(0.35, 0.85)
    where = surface.window(at[0], at[1], 2.2 * reach)
    u, v = _rotated(surface, where, at, heading)
    square = (u / reach) ** 2 + (v / (reach * squeeze)) ** 2
    height = (0.45 * square - 1) * np.exp(-square)
    height *= np.float32(0.8 * steep * reach * surface.unit_px)
    surface.emboss(np.asarray(height, np.float32), where)
    bruise = np.exp(-square * 1.5)
    surface.sheen_hw[where] *= 1 - np.float32(0.5) * bruise


def contamination(surface: Surface, pose: Pose, rng: np.random.Generator, strength: float) -> None:
    """A drop of oil, a smear of dirt or a fibre on the part."""
    at = _spot_on_metal(pose, rng, clearance=0.03)
    kind = rng.choice(["oil", "dirt", "fibre"])
    amount = min(1.0, strength * rng.uniform(0.5, 0.95))
    if kind == "fibre":
        _fibre(surface, at, rng, amount)
    elif kind == "oil":
        _oil(surface, at, rng, amount)
    else:
        _dirt(surface, at, rng, amount)


def chip(surface: Surface, pose: Pose, rng: np.random.Generator, strength: float) -> None:
    """A piece broken out of the outer edge or of the bore's, leaving a rough fracture."""
    outer = rng.random() < 0.7
    rim, sign = (OUTER_RADIUS, 1.0) if outer else (BORE_RADIUS + 0.012, -1.0)
    angle, size = rng.uniform(0, 2 * np.pi), rng.uniform(0.045, 0.095) * strength**0.5
    at = (rim + sign * 0.2 * size) * np.array([np.cos(angle), np.sin(angle)])
    where = surface.window(at[0], at[1], 2.6 * size)
    u, v = _rotated(surface, where, at, angle)
    wide = size * rng.uniform(1.1, 1.9)
    inside = _ragged(u / size, v / wide, rng, roughness=0.16, waves=(2, 3, 5, 7)) * np.float32(size)
    gone = surface.edge(inside - np.float32(size * rng.uniform(0.25, 0.5)))
    broken = surface.edge(inside) * surface.cover_hw[where]
    facets = cv2.GaussianBlur(_grain(rng, where), (0, 0), 1.8) * np.float32(3.0)
    lean = -0.5 * sign
    blend(surface.slope_x_hw, where, lean * np.cos(angle), broken)
    blend(surface.slope_y_hw, where, lean * np.sin(angle), broken)
    surface.emboss(facets * broken, where)
    blend(surface.sheen_hw, where, 0.0, broken)
    blend(surface.gloss_hw, where, 0.50, broken)
    blend(surface.albedo_hw, where, 0.95, broken)
    surface.cover_hw[where] *= 1 - gone


def discoloration(surface: Surface, pose: Pose, rng: np.random.Generator, strength: float) -> None:
    """Heat tint: straw, brown, purple and blue rings of oxide, drawn out along the turning."""
    at = _spot_on_metal(pose, rng, clearance=0.02)
    reach, heat = rng.uniform(0.065, 0.115), rng.uniform(0.45, 1.0)
    amount = min(1.0, strength * rng.uniform(0.45, 0.9))
    where = surface.window(at[0], at[1], 2.4 * reach)
    u, v = _rotated(surface, where, at, float(np.arctan2(at[1], at[0])))
    oxide = np.exp(-((u / reach) ** 2) - (v / (1.35 * reach)) ** 2) * np.float32(heat)
    steps = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    film = np.array(
        [(1, 1, 1), (1.0, 0.86, 0.58), (0.86, 0.58, 0.40), (0.62, 0.46, 0.62), (0.42, 0.56, 0.88)]
    )
    tint = np.stack([np.interp(oxide, steps, film[:, k]) for k in range(3)], axis=2)
    _stain(surface, where, np.asarray(1 + amount * (tint - 1), np.float32))


Defect = Callable[[Surface, Pose, np.random.Generator, float], None]
SURFACE_DEFECTS: dict[str, Defect] = {
    "scratch": scratch,
    "dent": dent,
    "contamination": contamination,
    "chip": chip,
    "discoloration": discoloration,
}


def _oil(surface: Surface, at: NDArray[np.float64], rng: np.random.Generator, amount: float) -> None:
    """A translucent brown drop, darker at its rim, whose dome catches the light."""
    reach = rng.uniform(0.040, 0.085)
    where = surface.window(at[0], at[1], 2.0 * reach)
    u, v = _rotated(surface, where, at, rng.uniform(0, 3.14))
    inside = _ragged(u / reach, v / (reach * rng.uniform(0.6, 1.0)), rng, roughness=0.13, waves=(2, 3))
    drop = surface.edge(inside * np.float32(reach), 2.5)
    dome = 1 - (1 - np.clip(inside * np.float32(1.3), 0, 1)) ** 2
    surface.emboss(dome * np.float32(0.08 * reach * surface.unit_px), where)
    surface.gloss_hw[where] *= 1 - np.float32(0.30 * amount) * drop
    rim = drop * (1 - np.clip(inside * 4, 0, 1))
    colour = np.array([0.42, 0.58, 0.84]) * amount
    body = (0.72 * drop + 0.28 * rim)[..., None]
    _stain(surface, where, np.asarray(1 - body * colour, np.float32))


def _dirt(surface: Surface, at: NDArray[np.float64], rng: np.random.Generator, amount: float) -> None:
    """Dark matt smear, made of crumbs."""
    reach = rng.uniform(0.035, 0.070)
    where = surface.window(at[0], at[1], 2.4 * reach)
    u, v = _rotated(surface, where, at, rng.uniform(0, 3.14))
    near = np.exp(-((u / reach) ** 2) - (v / (reach * rng.uniform(0.45, 1.0))) ** 2)
    crumbs = cv2.GaussianBlur(_grain(rng, where), (0, 0), 1.1) * np.float32(2.4)
    dirt = np.clip(2.6 * near + 0.9 * crumbs * near**0.5 - 0.7, 0, 1) * np.float32(amount)
    surface.gloss_hw[where] *= 1 - np.float32(0.6) * dirt
    colour = np.array([0.82, 0.87, 0.93])
    _stain(surface, where, np.asarray(1 - dirt[..., None] * colour, np.float32))


def _fibre(surface: Surface, at: NDArray[np.float64], rng: np.random.Generator, amount: float) -> None:
    """A curled thread from a cleaning cloth, lying in its own thin shadow."""
    way = np.linspace(0, 1, 40)
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(
        rng.uniform(-1, 1) * 0.10 + 0.22 * np.sin(way * rng.uniform(4, 9) + rng.uniform(0, 6))
    )
    step = rng.uniform(0.26, 0.46) / way.size
    path = np.cumsum(step * np.stack([np.cos(heading), np.sin(heading)], axis=1), axis=0)
    path += at - path.mean(axis=0)
    blue = rng.random() < 0.5
    where = surface.window(at[0], at[1], 0.26)
    canvas = np.zeros(surface.x_hw.shape, np.uint8)
    thickness = max(1, round(surface.unit_px / 120))
    cv2.polylines(canvas, [surface.to_pixels(path)], False, 255, thickness, cv2.LINE_AA, 4)
    thread = canvas[where].astype(np.float32) / np.float32(255)
    shade = cv2.GaussianBlur(np.roll(thread, (1, 1), (0, 1)), (0, 0), 1.4) * (1 - thread)
    colour = np.array([0.86, 0.74, 0.36]) if blue else np.array([0.80, 0.86, 0.90])
    stain = 1 - (amount * thread)[..., None] * colour - (0.35 * amount * shade)[..., None]
    _stain(surface, where, np.asarray(stain, np.float32))


def _spot_on_metal(pose: Pose, rng: np.random.Generator, *, clearance: float) -> NDArray[np.float64]:
    """A point on the flange or hub face, relative to the axis, clear of every hole."""
    dowel = pose.angle_rad + DOWEL_ANGLE
    taken = [np.array(bolt_centre(pose, index)) for index in range(BOLT_COUNT)]
    taken.append(np.array([np.cos(dowel), np.sin(dowel)]) * np.hypot(*taken[0]))
    while True:
        low, high = HUB_FACE if rng.random() < 0.2 else FLANGE_FACE
        radius, angle = rng.uniform(low, high), rng.uniform(0, 2 * np.pi)
        at = radius * np.array([np.cos(angle), np.sin(angle)])
        if all(np.hypot(*(at - hole)) > COUNTERBORE_RADIUS + clearance for hole in taken):
            return at


def _fading_line(surface: Surface, canvas: NDArray[np.uint8], path_xy: NDArray[np.float64]) -> None:
    """Draw a path whose ends fade; later segments do not dim earlier ones."""
    points = surface.to_pixels(path_xy)
    count = len(points) - 1
    thickness = max(1, round(surface.unit_px / 190))
    for index in sorted(range(count), key=lambda k: -abs(k - count / 2)):
        fade = 255 * min(1.0, 0.25 + 4 * min(index + 1, count - index) / count)
        ends = [points[index : index + 2]]
        cv2.polylines(canvas, ends, False, int(min(fade, 255)), thickness, cv2.LINE_AA, 4)


def _rotated(surface: Surface, where: Window, at: NDArray[np.float64], angle: float) -> tuple[F32, F32]:
    """Coordinates in a window about a point, the first along ``angle``."""
    dx, dy = surface.x_hw[where] - np.float32(at[0]), surface.y_hw[where] - np.float32(at[1])
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return dx * cosine + dy * sine, dy * cosine - dx * sine


def _ragged(u: F32, v: F32, rng: np.random.Generator, *, roughness: float, waves: tuple[int, ...]) -> F32:
    """Roughly 1 minus the radius: positive inside an irregular blob of radius 1 in (u, v)."""
    angle = np.arctan2(v, u)
    limit = np.ones_like(u)
    for wave in waves:
        swing = np.float32(roughness * rng.uniform(0.4, 1.0) / wave**0.4)
        limit += swing * np.cos(wave * angle + np.float32(rng.uniform(0, 6.28)))
    return np.asarray(limit - np.hypot(u, v), np.float32)


def _grain(rng: np.random.Generator, where: Window) -> F32:
    shape = (where[0].stop - where[0].start, where[1].stop - where[1].start)
    return rng.standard_normal(shape, np.float32)


def _stain(surface: Surface, where: Window, factor_hwc: F32) -> None:
    if surface.stain_hwc is None:
        surface.stain_hwc = np.ones((*surface.x_hw.shape, 3), np.float32)
    surface.stain_hwc[where] *= factor_hwc
