"""Synthetic camera and dataset: rendered images of machined parts, good and defective.

Used by ``pcedge demo``, the tests and the ``synthetic:`` address. Everything is determined by a seed, and
every defect has the exact mask of the pixels that it changes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pcedge.errors import OptionError

from ...frames import Frame
from ..base import NoFrame
from .defects import SURFACE_DEFECTS, missing_hole
from .optics import expose, photograph
from .part import build_surface
from .surface import F32, Pose, Surface, draw_pose

GOOD = "good"
DEFECT_KINDS: tuple[str, ...] = (
    "scratch",
    "dent",
    "missing_hole",
    "contamination",
    "chip",
    "discoloration",
)

# A defect is visible where a display value changes by more than this; the noise has sigma 1.9.
_VISIBLE = 9.0
# A defect that shows on a smaller fraction of the image than this is made stronger.
_SMALLEST = 8e-4
_STRENGTHS = (1.0, 1.6, 2.5, 4.0)
_SMALLEST_SIZE = 64
_SEEDS_PER_LINE = 1_000_000


@dataclass(frozen=True, eq=False)
class RenderedPart:
    """An image of one part with its ground truth.

    Attributes:
        image_rgb: uint8 [height, width, 3].
        mask_hw: bool [height, width], where the defect shows; nowhere on a good part.
        kind: ``good`` or one of ``DEFECT_KINDS``.
    """

    image_rgb: NDArray[np.uint8]
    mask_hw: NDArray[np.bool_]
    kind: str


def render_part(seed: int, kind: str = GOOD, size: int = 384) -> RenderedPart:
    """Render one part of the synthetic line.

    The same seed with another kind is the same part, light and sensor noise with the defect added.

    Args:
        seed: Which part; 0 or more.
        kind: ``good`` or one of ``DEFECT_KINDS``.
        size: Height and width of the image in pixels.

    Raises:
        OptionError: There is no such kind, or the seed or the size is out of range.
    """
    if kind not in (GOOD, *DEFECT_KINDS):
        raise OptionError(
            f"The synthetic line has no defect {kind!r}.",
            f"Use one of: {', '.join((GOOD, *DEFECT_KINDS))}",
        )
    if size < _SMALLEST_SIZE:
        raise OptionError(
            f"A synthetic image of {size} pixels is too small.",
            f"Use a size of {_SMALLEST_SIZE} or more.",
        )
    _check_seed(seed)
    pose = draw_pose(np.random.default_rng([seed, 0]))
    surface = build_surface(pose, size)
    good = photograph(surface, pose)
    if kind == GOOD:
        return RenderedPart(expose(good, pose), np.zeros((size, size), np.bool_), GOOD)
    for strength in _STRENGTHS:
        bad = photograph(_spoil(surface, pose, kind, seed, strength), pose)
        mask_hw = _visible_change(good, bad)
        if np.count_nonzero(mask_hw) >= _SMALLEST * mask_hw.size:
            break
        surface = build_surface(pose, size)
    return RenderedPart(expose(bad, pose), mask_hw, kind)


def write_dataset(
    directory: Path,
    *,
    train: int = 60,
    test_good: int = 20,
    per_defect: int = 6,
    size: int = 384,
    seed: int = 0,
    on_image: Callable[[], None] | None = None,
) -> None:
    """Write a dataset in the MVTec AD layout; no part is in both train and test.

    Args:
        directory: Receives ``train/good``, ``test/<kind>`` and ``ground_truth/<kind>``.
        train: Number of good images to learn from.
        test_good: Number of good images to test with.
        per_defect: Number of test images of each kind of defect.
        size: Height and width of the images in pixels.
        seed: Which dataset; another seed shares no part with this one.
        on_image: Called after each image, for a progress bar.

    Raises:
        OptionError: The seed or the size is out of range.
    """
    _check_seed(seed)
    folders = [("train", GOOD, train), ("test", GOOD, test_good)]
    folders += [("test", kind, per_defect) for kind in DEFECT_KINDS]
    first = seed * _SEEDS_PER_LINE
    for split, kind, count in folders:
        for index in range(count):
            part = render_part(first + index, kind, size)
            _write_png(directory / split / kind / f"{index:03d}.png", part.image_rgb[..., ::-1])
            if kind != GOOD:
                mask = directory / "ground_truth" / kind / f"{index:03d}_mask.png"
                _write_png(mask, part.mask_hw.astype(np.uint8) * 255)
            if on_image is not None:
                on_image()
        first += count


class SyntheticCamera:
    """A source with frames of the synthetic line.

    The names of the frames contain the ground truth: ``part-000012-scratch``, ``part-000013-good``.

    Args:
        fps: Frames per second of a live camera; None delivers frames on demand and is not live.
        frames: Number of frames after which the line ends; None never ends.
        seed: Which line; the same seed shows the same parts in the same order.
        defect_rate: Probability that a part is defective.
        size: Height and width of the images in pixels.

    Raises:
        OptionError: An argument is out of range.
    """

    def __init__(
        self,
        *,
        fps: float | None = None,
        frames: int | None = None,
        seed: int = 1,
        defect_rate: float = 0.2,
        size: int = 384,
    ) -> None:
        _check_seed(seed)
        if fps is not None and not 0 < fps < float("inf"):
            raise OptionError(f"A camera cannot give {fps} frames a second.", "Use more than 0.")
        if not 0 <= defect_rate <= 1:
            raise OptionError(f"The defect rate {defect_rate} is not a probability.", "Use 0 to 1.")
        self._period_s = 0.0 if fps is None else 1 / fps
        self._frames = frames
        self._seed = seed
        self._defect_rate = defect_rate
        self._size = size
        self._next = 0
        self._due = 0.0

    @property
    def name(self) -> str:
        """Display name of the source."""
        return "synthetic"

    @property
    def live(self) -> bool:
        """Whether frames arrive in real time."""
        return self._period_s > 0

    def __enter__(self) -> SyntheticCamera:
        """Start the line from its first part."""
        self._next = 0
        self._due = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the line; there is no device to release."""

    def renewed(self) -> SyntheticCamera:
        """Return the same line, from its first part."""
        return SyntheticCamera(
            fps=1 / self._period_s if self.live else None,
            frames=self._frames,
            seed=self._seed,
            defect_rate=self._defect_rate,
            size=self._size,
        )

    def read(self, timeout_s: float) -> Frame | NoFrame:
        """Return the next part's image, waiting up to ``timeout_s`` until a live one is due."""
        if self._frames is not None and self._next >= self._frames:
            return NoFrame.END
        if self.live and not self._wait(timeout_s):
            return NoFrame.YET
        index, self._next = self._next, self._next + 1
        part = self._part(index)
        name = f"part-{index:06d}-{part.kind}"
        return Frame(self.name, index, name, time.time(), part.image_rgb)

    def _wait(self, timeout_s: float) -> bool:
        """Wait for the next exposure; False when it is not due within the time-out."""
        ahead_s = self._due - time.monotonic()
        if ahead_s > 0:
            time.sleep(min(ahead_s, max(timeout_s, 0.0)))
        if ahead_s > timeout_s:
            return False
        # After a late read the schedule continues from now: a camera does not catch up.
        self._due = max(self._due, time.monotonic() - self._period_s) + self._period_s
        return True

    def _part(self, index: int) -> RenderedPart:
        """The part at a place on the line; not one of ``write_dataset`` with the same seed."""
        rng = np.random.default_rng([self._seed, index])
        kind = str(rng.choice(DEFECT_KINDS)) if rng.random() < self._defect_rate else GOOD
        seed = self._seed * _SEEDS_PER_LINE + _SEEDS_PER_LINE // 2 + index
        return render_part(seed, kind, self._size)


def _spoil(surface: Surface, pose: Pose, kind: str, seed: int, strength: float) -> Surface:
    """Give a good surface, which is used up, the defect of a seed."""
    rng = np.random.default_rng([seed, 1 + DEFECT_KINDS.index(kind)])
    if kind == "missing_hole":
        return build_surface(pose, surface.x_hw.shape[0], missing_hole(rng))
    SURFACE_DEFECTS[kind](surface, pose, rng, strength)
    return surface


def _visible_change(good_hwc: F32, bad_hwc: F32) -> NDArray[np.bool_]:
    """bool [h, w]: where two noiseless images differ visibly, with pinholes and gaps closed."""
    red, green, blue = cv2.split(cv2.absdiff(good_hwc, bad_hwc))
    change = cv2.max(cv2.max(red, green), blue)
    seen = (change > _VISIBLE).astype(np.uint8)
    reach = 2 * round(good_hwc.shape[0] / 192) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    return cv2.morphologyEx(seen, cv2.MORPH_CLOSE, disc) > 0


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise OptionError(f"The seed {seed} is negative.", "Use 0 or more.")


def _write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write through Python's own files, which take any name on any system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done, encoded = cv2.imencode(".png", np.ascontiguousarray(image))
    if not done:
        raise OSError(f"cannot encode {path}")
    path.write_bytes(encoded.tobytes())
