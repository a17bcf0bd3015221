"""Synthetic faults on good images, where there are no real ones: parts of the product in a wrong place.

After CutPaste (Li et al., CVPR 2021): a piece of another good part, as a patch or as a thin scar, and, with
it, a smudge. Pieces of the product itself are as sharp, as noisy and as lit as the rest of the image, so
only their place shows that they do not belong there. They come in all strengths, down to what can hardly be
seen, so that no choice of settings finds all of them.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Mask = NDArray[np.float32]

_FAINTEST = 0.15


def pasted(kind: str, picture: Picture, other: Picture, seed: int) -> Picture:
    """The image with one fault.

    Args:
        kind: One of ``FAULTS``.
        image: uint8 [height, width, 3]; not changed.
        other: Another good image, of any size, from which the fault is cut.
        seed: Of place, size and strength.
    """
    rng = np.random.default_rng(seed)
    height, width = picture.shape[:2]
    donor = np.asarray(cv2.resize(other, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    shape, content = FAULTS[kind](rng, picture, donor)
    cover = (shape * np.float32(rng.uniform(_FAINTEST, 1.0)))[..., np.newaxis]
    mixed = picture * (1 - cover) + content * cover
    return np.asarray(np.rint(mixed), np.uint8)


def _patch(rng: np.random.Generator, picture: Picture, donor: Picture) -> tuple[Mask, Picture]:
    """A rectangle of 0.2 to 2 % of the image, from elsewhere."""
    area, aspect = rng.uniform(0.002, 0.02), rng.uniform(0.4, 2.5)
    return _cut(rng, picture, donor, np.sqrt(area * aspect), np.sqrt(area / aspect))


def _scar(rng: np.random.Generator, picture: Picture, donor: Picture) -> tuple[Mask, Picture]:
    """A thin, turned rectangle, as long as 4 to 12 % of the image."""
    return _cut(rng, picture, donor, rng.uniform(0.04, 0.12), rng.uniform(0.008, 0.02))


def _smudge(rng: np.random.Generator, picture: Picture, _donor: Picture) -> tuple[Mask, Picture]:
    """A soft spot, darker or brighter than what is there."""
    height, width = picture.shape[:2]
    radius = rng.uniform(0.02, 0.08) * min(height, width)
    x, y = rng.uniform(0.15, 0.85, 2) * (width, height)
    ys, xs = np.mgrid[:height, :width]
    shape = np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * radius**2)).astype(np.float32)
    factor = rng.uniform(0.3, 0.7) if rng.random() < 0.5 else rng.uniform(1.4, 2.2)
    return shape, np.clip(picture * factor, 0, 255).astype(np.uint8)


def _cut(
    rng: np.random.Generator, picture: Picture, donor: Picture, length: float, breadth: float
) -> tuple[Mask, Picture]:
    """A turned rectangle, given in shares of the image's sides' mean, and the donor moved into it."""
    height, width = picture.shape[:2]
    mean = (height + width) / 2
    x, y = rng.uniform(0.15, 0.85, 2) * (width, height)
    shift = rng.uniform(0.2, 0.5, 2) * rng.choice([-1, 1], 2) * (width, height)
    moved = np.roll(donor, (int(shift[1]), int(shift[0])), axis=(0, 1))
    corners = cv2.boxPoints(((x, y), (length * mean, max(2.0, breadth * mean)), rng.uniform(0, 180)))
    shape = np.zeros((height, width), np.uint8)
    cv2.fillPoly(shape, [np.rint(corners).astype(np.int32)], 255, cv2.LINE_AA)
    soft = cv2.GaussianBlur(shape, (0, 0), max(0.6, mean / 400))
    return np.asarray(soft / np.float32(255), np.float32), moved


FAULTS: dict[str, Callable[[np.random.Generator, Picture, Picture], tuple[Mask, Picture]]] = {
    "patch": _patch,
    "scar": _scar,
    "smudge": _smudge,
}
"""Kinds of faults; each gives where it is, float32 [height, width] from 0 to 1, and what is there."""
