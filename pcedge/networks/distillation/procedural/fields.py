"""Scalar fields that procedural images are made of: noise, coordinates, patterns over coordinates.

Every field is float32 [size, size]; patterns have mean about 0 and standard deviation about 1.
"""

from collections.abc import Callable
from math import cos, pi, sin

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

F32 = NDArray[np.float32]
Rng = np.random.Generator

# From this slope on, noise is smooth enough to be made small and enlarged.
_SMOOTH = 2.0
_COARSEST = 16


def fractal(rng: Rng, size: int, slope: float, stretch: float = 1.0, angle: float = 0.0) -> F32:
    """Noise whose amplitude falls with frequency to the power of ``slope``.

    Args:
        rng: Source of randomness.
        size: Height and width in pixels.
        slope: 0 is white, 1 is like photographs of landscapes, 2 like clouds.
        stretch: How many times longer than wide its features are.
        angle: Direction of the long side, in radians.
    """
    if slope >= _SMOOTH and stretch < 2 and size >= 4 * _COARSEST:
        # Nothing this smooth has detail to lose, and a sixteenth of the pixels costs a sixteenth of the time.
        coarse = fractal(rng, size // 4, slope, stretch, angle)
        return normalised(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC))
    y = np.fft.fftfreq(size).astype(np.float32)[:, None]
    x = np.fft.rfftfreq(size).astype(np.float32)[None, :]
    along = x * cos(angle) + y * sin(angle)
    across = y * cos(angle) - x * sin(angle)
    frequency = np.hypot(along * stretch, across)
    frequency[0, 0] = np.inf
    white = rng.standard_normal((size, size), np.float32)
    return normalised(np.fft.irfft2(np.fft.rfft2(white) * frequency**-slope, (size, size)))


def f32(values: ArrayLike) -> F32:
    """The values as float32, where a library or a formula gave something wider or less certain."""
    return np.asarray(values, np.float32)


def normalised(field: ArrayLike) -> F32:
    """The field with mean 0 and standard deviation 1; a flat one becomes 0."""
    centred = f32(field) - f32(field).mean()
    deviation = float(centred.std())
    return f32(centred / np.float32(deviation)) if deviation > 1e-6 else f32(centred)


def coordinates(rng: Rng, size: int, warp: float = 0.0) -> tuple[F32, F32]:
    """Pixel coordinates (u, v), turned at random and bent by up to about ``warp`` pixels."""
    angle = rng.uniform(0, 2 * pi)
    shift = rng.uniform(0, size, 2)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    u = np.float32(cos(angle)) * x + np.float32(sin(angle)) * y + np.float32(shift[0])
    v = np.float32(cos(angle)) * y - np.float32(sin(angle)) * x + np.float32(shift[1])
    if warp > 0:
        u += np.float32(warp) * fractal(rng, size, 2.2)
        v += np.float32(warp) * fractal(rng, size, 2.2)
    return u, v


def log_uniform(rng: Rng, low: float, high: float) -> float:
    """A number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def clouds(rng: Rng, size: int) -> F32:
    """Fractal noise of any roughness."""
    return fractal(rng, size, rng.uniform(0.4, 2.2), log_uniform(rng, 1, 4), rng.uniform(0, pi))


def brushed(rng: Rng, size: int) -> F32:
    """Metal that was ground in one direction or turned around a centre."""
    grain = fractal(rng, size, rng.uniform(0.3, 1.0), log_uniform(rng, 12, 80))
    if rng.random() < 0.4:
        return normalised(cv2.warpPolar(grain, (size, size), _point(rng, size), size * 0.8, _FROM_POLAR))
    return _turned(grain, rng.uniform(0, 360))


def waves(rng: Rng, size: int) -> F32:
    """A few gratings upon each other, soft or hard."""
    field = np.zeros((size, size), np.float32)
    warp = rng.choice([0.0, log_uniform(rng, 1, 20)])
    for _ in range(rng.integers(1, 4)):
        u, _ = coordinates(rng, size, warp)
        wave = np.sin(u * np.float32(2 * pi / log_uniform(rng, 3, 60)))
        sharpness = log_uniform(rng, 0.3, 12)
        field += np.tanh(wave * np.float32(sharpness)) * np.float32(rng.uniform(0.3, 1))
    return normalised(field)


def weave(rng: Rng, size: int) -> F32:
    """Threads that pass over and under each other, as in cloth, carpet and wire mesh."""
    u, v = coordinates(rng, size, rng.choice([0.0, rng.uniform(0, 6)]))
    pitch = log_uniform(rng, 4, 40)
    a, b = u / np.float32(pitch), v / np.float32(pitch * rng.choice([1.0, rng.uniform(0.5, 2)]))
    thickness = np.float32(rng.uniform(0.5, 1.0))
    warp_thread = np.clip(1 - np.abs((a % 1 - 0.5) * 2 / thickness), 0, 1) ** np.float32(0.6)
    weft_thread = np.clip(1 - np.abs((b % 1 - 0.5) * 2 / thickness), 0, 1) ** np.float32(0.6)
    repeat = int(rng.choice([2, 2, 3, 4]))
    over = (np.floor(a) + np.floor(b)) % repeat < repeat // 2
    lift = np.float32(rng.uniform(0.2, 0.8))
    field = np.where(
        over,
        np.maximum(warp_thread, weft_thread * (1 - lift)),
        np.maximum(weft_thread, warp_thread * (1 - lift)),
    )
    return normalised(field + np.float32(rng.uniform(0, 0.3)) * fractal(rng, size, 0.6))


def cells(rng: Rng, size: int) -> F32:
    """Grains, pebbles, scales or cracks: distances to scattered points."""
    count = int(log_uniform(rng, 12, 3000))
    spots = np.full((size, size), 255, np.uint8)
    spots[rng.integers(0, size, count), rng.integers(0, size, count)] = 0
    distance, labels = cv2.distanceTransformWithLabels(
        spots, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    tone = rng.standard_normal(int(labels.max()) + 1).astype(np.float32)[labels]
    edges = cv2.morphologyEx(tone, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0.05
    mix = rng.dirichlet([0.6, 0.6, 0.6]).astype(np.float32)
    return normalised(mix[0] * tone + mix[1] * normalised(distance) + mix[2] * normalised(edges * 1.0))


def blotches(rng: Rng, size: int) -> F32:
    """Noise cut at a few levels: stains, camouflage, rust, contour lines."""
    base = clouds(rng, size)
    levels = rng.integers(1, 5)
    steps = np.floor(base * np.float32(levels) + np.float32(rng.random()))
    rest = np.float32(rng.choice([0.0, 0.3]))
    return normalised(steps + rest * fractal(rng, size, rng.uniform(0.2, 1)))


def rings(rng: Rng, size: int) -> F32:
    """Wood, or anything with bent, stretched rings."""
    u, v = coordinates(rng, size, log_uniform(rng, 2, 30))
    stretch = np.float32(log_uniform(rng, 1, 30))
    radius = np.hypot(u - np.float32(rng.uniform(0, size)), (v - np.float32(rng.uniform(0, size))) / stretch)
    saw = (radius / np.float32(log_uniform(rng, 4, 40))) % 1
    grain = fractal(rng, size, 0.5, log_uniform(rng, 3, 20), rng.uniform(0, pi))
    return normalised(saw + np.float32(rng.uniform(0, 0.5)) * grain)


def fibres(rng: Rng, size: int) -> F32:
    """Hairs, scratches and straws, all over or in one direction."""
    canvas = np.zeros((size, size), np.float32)
    main, spread = rng.uniform(0, 2 * pi), rng.choice([0.1, 0.5, pi])
    length = log_uniform(rng, 8, size / 2)
    for _ in range(int(log_uniform(rng, 30, 600))):
        angle = main + rng.uniform(-spread, spread)
        bend = rng.normal(0, 0.3)
        start = rng.uniform(-10, size + 10, 2)
        turns = angle + bend * np.linspace(0, 1, 5)
        path = start + np.cumsum(np.stack([np.cos(turns), np.sin(turns)], 1) * (length / 5), axis=0)
        thickness = int(rng.choice([1, 1, 1, 2, 3]))
        cv2.polylines(
            canvas, [np.rint(path * 16).astype(np.int32)], False, rng.normal(), thickness, cv2.LINE_AA, 4
        )
    return normalised(canvas)


def motifs(rng: Rng, size: int) -> F32:
    """One small drawing, repeated: printed cloth, punched sheet, circuit boards."""
    width, height = (int(log_uniform(rng, 10, 80)) for _ in range(2))
    tile = np.zeros((height, width), np.float32)
    for _ in range(rng.integers(1, 6)):
        centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        tone, reach = float(rng.normal()), int(rng.integers(1, max(2, min(width, height) // 2)))
        if rng.random() < 0.5:
            cv2.circle(tile, centre, reach, tone, int(rng.choice([-1, 1, 2])), cv2.LINE_AA)
        else:
            end = (int(rng.integers(0, width)), int(rng.integers(0, height)))
            cv2.line(tile, centre, end, tone, int(rng.integers(1, 5)), cv2.LINE_AA)
    big = int(size * 1.5)
    tiled = np.tile(tile, (big // height + 1, big // width + 1))[:big, :big]
    if rng.random() < 0.5:  # every copy a little different in tone, as in print and on real boards
        tiled = tiled * (1 + np.float32(0.3) * fractal(rng, big, 1.0))
    return normalised(
        _turned(np.ascontiguousarray(tiled), rng.choice([0.0, rng.uniform(0, 360)]))[:size, :size]
    )


def grains(rng: Rng, size: int) -> F32:
    """Fine speckle of one grain size: castings, foam, sand, leather."""
    fine = log_uniform(rng, 0.6, 6)
    white = rng.standard_normal((size, size), np.float32)
    band = cv2.GaussianBlur(white, (0, 0), fine) - cv2.GaussianBlur(white, (0, 0), fine * rng.uniform(1.3, 3))
    bumps = normalised(band)
    return normalised(np.abs(bumps)) if rng.random() < 0.3 else bumps


PATTERNS: tuple[Callable[[Rng, int], F32], ...] = (
    clouds,
    brushed,
    waves,
    weave,
    cells,
    blotches,
    rings,
    fibres,
    motifs,
    grains,
)

_FROM_POLAR = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR | cv2.WARP_FILL_OUTLIERS


def pattern(rng: Rng, size: int) -> F32:
    """Any of the patterns."""
    return PATTERNS[rng.integers(len(PATTERNS))](rng, size)


def _point(rng: Rng, size: int) -> tuple[float, float]:
    x, y = rng.uniform(-0.2 * size, 1.2 * size, 2)
    return float(x), float(y)


def _turned(field: F32, degrees: float) -> F32:
    size = field.shape[0]
    turn = cv2.getRotationMatrix2D((size / 2, size / 2), degrees, 1.0)
    return cv2.warpAffine(field, turn, (size, size), borderMode=cv2.BORDER_REFLECT).astype(np.float32)
