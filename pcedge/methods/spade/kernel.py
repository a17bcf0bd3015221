"""The compiled inner loop of the correspondence search. Importing this module needs Numba.

It runs in one thread and releases the GIL: the caller gives each thread its own queries.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


def _find_correspondences(
    coarse: NDArray[np.float32],
    first: int,
    queries: NDArray[np.float32],
    gallery: NDArray[np.float32],
    starts: NDArray[np.int64],
    children: NDArray[np.int64],
    slack: float,
    best: NDArray[np.float32],
    nearest: NDArray[np.int64],
) -> None:
    """Find the nearest gallery pixel of every pixel within some coarse cells of the query.

    The squared distance of two pixels is that of their coarse cells plus that of their finest features, which
    is never negative. So a coarse cell as far away as the best pixel so far contains no nearer pixel.

    Args:
        coarse: float32 [cells, gallery cells], squared distances of coarse cells, the query's from ``first``
            on, the gallery's of one image after the other.
        first: Index of the query's first coarse cell.
        queries: float32 [pixels, channels], finest features of the query.
        gallery: float32 [images * pixels, channels], finest features of the gallery.
        starts: int64 [coarse cells of an image + 1], where in ``children`` each one's pixels begin.
        children: int64 [pixels], the pixels of the coarse cells.
        slack: Bound of the rounding error of a coarse distance.
        best: float32 [pixels], at first infinite: the smallest squared distances.
        nearest: int64 [pixels], the indices of these gallery pixels.
    """
    cells = len(starts) - 1
    pixels = len(children)
    for i in range(len(coarse)):
        mine = children[starts[first + i] : starts[first + i + 1]]
        row = coarse[i]
        likely = np.argmin(row)
        bound = np.float32(np.inf)
        # Start with the nearest coarse cell, so that the bound rules out most others.
        for turn in range(-1, len(row)):
            other = likely if turn < 0 else turn
            if row[other] - slack >= bound or turn == likely:
                continue
            picture = other // cells
            cell = other - picture * cells
            for pixel in mine:
                for place in range(starts[cell], starts[cell + 1]):
                    candidate = picture * pixels + children[place]
                    apart = row[other]
                    for channel in range(queries.shape[1]):
                        step = queries[pixel, channel] - gallery[candidate, channel]
                        apart += step * step
                    if apart < best[pixel]:
                        best[pixel] = apart
                        nearest[pixel] = candidate
            bound = np.float32(0)
            for pixel in mine:
                bound = max(bound, best[pixel])


find_correspondences: Any = njit(nogil=True, fastmath={"reassoc", "contract", "arcp", "nsz"})(
    _find_correspondences
)
