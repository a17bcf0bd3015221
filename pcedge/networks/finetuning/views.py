"""Views of nominal images: varied a little, turned, and with a piece of another one in them."""

import cv2
import numpy as np
from numpy.typing import NDArray

from .images import Pictures

Rng = np.random.Generator
Masks = NDArray[np.float32]

# Size of a pasted piece as a share of the image, and its longer over its shorter side (Li et al. 2021 paste
# 2 to 15 %, and thin scars beside them).
_PIECE_AREA = (0.01, 0.12)
_PIECE_ASPECT = 6.0
# Grey levels by which a pasted piece must differ on average: a piece of plain background on plain background
# is no anomaly.
_VISIBLE = 8.0
_ATTEMPTS = 8


def varied(rng: Rng, picture: Pictures) -> Pictures:
    """The image in slightly other light and noise, everything in its place: a good part still."""
    gain = np.exp(rng.uniform(-0.1, 0.1)) * np.exp(rng.uniform(-0.03, 0.03, 3))
    gamma = np.exp(rng.uniform(-0.15, 0.15))
    level = np.arange(256)[:, None] / 255
    table = np.clip(level**gamma * 255 * gain, 0, 255).astype(np.uint8)
    lit = cv2.LUT(np.ascontiguousarray(picture), table[None])
    if rng.random() < 0.3:
        lit = cv2.GaussianBlur(lit, (0, 0), rng.uniform(0.3, 0.8))
    noise = rng.standard_normal(picture.shape, np.float32) * np.float32(rng.uniform(0, 4))
    return np.clip(np.rint(lit + noise), 0, 255).astype(np.uint8)


def moved(rng: Rng, picture: Pictures) -> Pictures:
    """The image moved and enlarged by a few per cent, as a part is that does not lie quite the same."""
    size = picture.shape[0]
    scale, shift = np.exp(rng.uniform(-0.04, 0.04)), rng.uniform(-0.03, 0.03, 2) * size
    slack = (1 - scale) * size / 2
    matrix = np.array([[scale, 0.0, slack + shift[0]], [0.0, scale, slack + shift[1]]])
    return np.asarray(
        cv2.warpAffine(picture, matrix, (size, size), borderMode=cv2.BORDER_REFLECT_101), np.uint8
    )


def quarter_turns(picture: Pictures) -> list[Pictures]:
    """The image turned by 0, 1, 2 and 3 quarters."""
    return [np.ascontiguousarray(np.rot90(picture, turns)) for turns in range(4)]


def with_piece(rng: Rng, picture: Pictures, other: Pictures) -> tuple[Pictures, Masks]:
    """The image with a piece from elsewhere in the other one, or in itself, and where that is.

    Returns:
        uint8 [s, s, 3], and float32 [s, s] that is 1 where the piece is.
    """
    size = picture.shape[0]
    best, best_mask, seen = picture, np.zeros((size, size), np.float32), -1.0
    for _ in range(_ATTEMPTS):
        height, width = _piece_hw(rng, size)
        source = picture if rng.random() < 0.5 else other
        top, left, from_top, from_left = (
            int(rng.integers(0, size - extent + 1)) for extent in (height, width) * 2
        )
        piece = varied(rng, source[from_top : from_top + height, from_left : from_left + width])
        place = np.s_[top : top + height, left : left + width]
        difference = float(np.abs(piece.astype(np.float32) - picture[place]).mean())
        if difference > seen:
            best, best_mask, seen = picture.copy(), np.zeros((size, size), np.float32), difference
            best[place], best_mask[place] = piece, 1
        if seen >= _VISIBLE:
            break
    return best, best_mask


def _piece_hw(rng: Rng, size: int) -> tuple[int, int]:
    area = np.exp(rng.uniform(*np.log(_PIECE_AREA))) * size * size
    aspect = np.exp(rng.uniform(-np.log(_PIECE_ASPECT), np.log(_PIECE_ASPECT)))
    height, width = np.sqrt(area * aspect), np.sqrt(area / aspect)
    return int(np.clip(height, 4, size)), int(np.clip(width, 4, size))
