"""Pose and surface of a synthetic part.

Lengths are in *units*: the image spans -1..1 in both directions, y pointing down.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
Window = tuple[slice, slice]


@dataclass(frozen=True)
class Pose:
    """Everything that differs between two good parts and their images.

    Attributes:
        centre_xy: Where the part's axis is, in units.
        angle_rad: How far it is turned in the fixture.
        key_rad: Direction the main light comes from.
        key_tilt: Slope of the half vector of the main light; how low the light is.
        exposure: Factor on all light.
        warmth: Colour temperature of the main light, 0 neutral, positive warmer.
        blur_px: Standard deviation of the defocus in pixels, at 384 pixels.
        vignette: Light lost in the corners, as a fraction.
        tool_phase: Where the turning marks start, as two fractions (radius, angle).
        finish: Strength of the turning marks.
        noise_seed: Seed of the sensor noise.
    """

    centre_xy: tuple[float, float]
    angle_rad: float
    key_rad: float
    key_tilt: float
    exposure: float
    warmth: float
    blur_px: float
    vignette: float
    tool_phase: tuple[float, float]
    finish: float
    noise_seed: int


def draw_pose(rng: np.random.Generator) -> Pose:
    """Draw the natural variation of one part."""
    spread = rng.uniform(-1.0, 1.0, 9).tolist()
    phase = rng.uniform(0.0, 1.0, 2).tolist()
    return Pose(
        centre_xy=(0.036 * spread[0], 0.036 * spread[1]),
        angle_rad=math.radians(4.0 * spread[2]),
        key_rad=math.radians(-128.0 + 7.0 * spread[3]),
        key_tilt=0.33 + 0.02 * spread[4],
        exposure=1.0 + 0.06 * spread[5],
        warmth=0.035 * spread[6],
        blur_px=0.62 + 0.16 * spread[7],
        vignette=0.24 + 0.04 * spread[8],
        tool_phase=(phase[0], phase[1]),
        finish=rng.uniform(0.8, 1.2),
        noise_seed=int(rng.integers(2**31)),
    )


@dataclass(eq=False)
class Surface:
    """What the light meets, one value per pixel; features and defects change it in place.

    Attributes:
        x_hw: Position right of the part's axis, in units.
        y_hw: Position below the part's axis, in units.
        slope_x_hw: Slope of the height along x.
        slope_y_hw: Slope of the height along y.
        across_x_hw: x of the unit vector across the tool's grooves.
        across_y_hw: y of the same vector.
        sheen_hw: How sharply the grooves reflect: 1 turned metal, near 0 matt.
        gloss_hw: Factor on reflected highlights.
        albedo_hw: Factor on diffuse light.
        cover_hw: 1 where there is metal, 0 where the mat shows.
        mat_hw: Light on the mat, shadow of the part included.
        stain_hwc: Factor per colour of what lies on the metal; None without.
    """

    x_hw: F32
    y_hw: F32
    slope_x_hw: F32
    slope_y_hw: F32
    across_x_hw: F32
    across_y_hw: F32
    sheen_hw: F32
    gloss_hw: F32
    albedo_hw: F32
    cover_hw: F32
    mat_hw: F32
    stain_hwc: F32 | None = None

    @property
    def unit_px(self) -> float:
        """Pixels in one unit."""
        return float(self.x_hw.shape[0] / 2)

    def edge(self, inside: F32, width_px: float = 1.5) -> F32:
        """Antialiased step: 0 to 1 where ``inside`` (a signed distance in units) passes 0."""
        step: F32 = np.clip(inside * np.float32(self.unit_px / width_px) + np.float32(0.5), 0, 1)
        return step

    def window(self, x: float, y: float, reach: float) -> Window:
        """Rows and columns within ``reach`` units of a point given relative to the axis."""
        size = self.x_hw.shape[0]
        column = (x - float(self.x_hw[0, 0])) * self.unit_px
        row = (y - float(self.y_hw[0, 0])) * self.unit_px
        around = reach * self.unit_px + 2
        low = [int(np.clip(at - around, 0, size)) for at in (row, column)]
        high = [int(np.clip(at + around + 1, 0, size)) for at in (row, column)]
        return slice(low[0], high[0]), slice(low[1], high[1])

    def to_pixels(self, points_xy: NDArray[np.float64], shift: int = 4) -> NDArray[np.int32]:
        """Points relative to the axis, in units, as OpenCV's fixed-point pixels."""
        origin = np.array([self.x_hw[0, 0], self.y_hw[0, 0]], np.float64)
        pixels: NDArray[np.float64] = (points_xy - origin) * self.unit_px * 2**shift
        return np.rint(pixels).astype(np.int32)

    def emboss(self, height_hw: F32, where: Window) -> None:
        """Add a height in pixels to a window of the surface."""
        rows, columns = where
        self.slope_x_hw[rows, columns] += cv2.Sobel(height_hw, cv2.CV_32F, 1, 0, scale=0.125)
        self.slope_y_hw[rows, columns] += cv2.Sobel(height_hw, cv2.CV_32F, 0, 1, scale=0.125)


def blend(field_hw: F32, where: Window, value: F32 | float, weight_hw: F32) -> None:
    """Move a window of a field towards a value; a weight of 1 replaces it."""
    field_hw[where] += weight_hw * (value - field_hw[where])
