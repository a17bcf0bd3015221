"""Pixel correspondences: the nearest pixels in a gallery of normal images (paper, sections 3.3 and 3.4).

A pixel's features are those of every layer of the pyramid, concatenated; of a coarser layer, those of the
cell that contains the pixel. So the squared distance of two pixels is the sum of the layers' squared
distances. Those of a coarse layer are the same for all pixels of a cell: they are computed once per cell and
rule out most candidates. The result is exact.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import usable_cores

from .layout import FeatureLayout

# Coarse cells of the query per task of a thread.
_CHUNK = 49
# Rounding error of |a|^2 + |b|^2 - 2 a.b in float32, as a share of the squared lengths.
_ROUNDING = 1e-5


class Correspondences:
    """Finds the nearest gallery pixel of every pixel of an image.

    Args:
        layout: Layout of the features.
    """

    def __init__(self, layout: FeatureLayout) -> None:
        self._layout = layout
        # With a single layer every pixel is its own cell.
        pixels = layout.layers[0][1] * layout.layers[0][2]
        self._parents = layout.parents()
        above = self._parents[0] if self._parents else np.arange(pixels)
        self._children = np.argsort(above, kind="stable")
        cells = layout.layers[1][1] * layout.layers[1][2] if self._parents else pixels
        self._starts = np.searchsorted(above[self._children], np.arange(cells + 1)).astype(np.int64)

    def distances(
        self, query: NDArray[np.float32], gallery: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """Distance of every pixel to the nearest one in the gallery, float32 [pixels] in row-major order.

        Args:
            query: Features of an image, float32 [length].
            gallery: Features of normal images, each float32 [length].
        """
        from .kernel import find_correspondences

        mine = self._layout.layers_of(query)
        theirs = [
            np.ascontiguousarray(np.concatenate(layers))
            for layers in zip(*map(self._layout.layers_of, gallery), strict=True)
        ]
        pixels, cells = len(mine[0]), len(self._starts) - 1
        best = np.full(pixels, np.inf, np.float32)
        nearest = np.zeros(pixels, np.int64)
        slack = _ROUNDING * float(
            sum(_longest(a) + _longest(b) for a, b in zip(mine[1:], theirs[1:], strict=True))
        )

        def search(first: int) -> None:
            chosen = np.arange(first, min(first + _CHUNK, cells))
            coarse = self._coarse(chosen, 1, mine, theirs)
            find_correspondences(
                coarse, first, mine[0], theirs[0], self._starts, self._children, slack, best, nearest
            )

        with ThreadPoolExecutor(usable_cores()) as pool:
            list(pool.map(search, range(0, cells, _CHUNK)))
        return self._exactly(mine, theirs, nearest)

    def _coarse(
        self,
        chosen: NDArray[np.int64],
        layer: int,
        mine: list[NDArray[np.float32]],
        theirs: list[NDArray[np.float32]],
    ) -> NDArray[np.float32]:
        """Squared distances of some cells of a layer to all gallery cells, including coarser layers."""
        if layer >= len(mine):
            return np.zeros((len(chosen), len(theirs[0])), np.float32)
        apart = _squared_distances(mine[layer][chosen], theirs[layer])
        if layer + 1 < len(mine):
            above, own = np.unique(self._parents[layer][chosen], return_inverse=True)
            coarser = self._coarse(above, layer + 1, mine, theirs)
            pictures = len(theirs[layer]) // len(mine[layer])
            per_picture = len(mine[layer + 1])
            places = self._parents[layer] + per_picture * np.arange(pictures)[:, np.newaxis]
            apart += coarser[:, places.reshape(-1)][own.reshape(-1)]
        return apart

    def _exactly(
        self,
        mine: list[NDArray[np.float32]],
        theirs: list[NDArray[np.float32]],
        nearest: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        """Distances to the found pixels, without the rounding error of a matrix product."""
        pixel = np.arange(len(nearest))
        picture, other = np.divmod(nearest, len(nearest))
        squared = np.zeros(len(nearest), np.float32)
        for layer, (one, gallery) in enumerate(zip(mine, theirs, strict=True)):
            if layer:
                pixel, other = self._parents[layer - 1][pixel], self._parents[layer - 1][other]
            squared += np.square(one[pixel] - gallery[picture * len(one) + other]).sum(axis=1)
        return np.sqrt(squared)


def _squared_distances(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    apart = one @ other.T
    apart *= -2
    apart += np.square(one).sum(axis=1)[:, np.newaxis]
    apart += np.square(other).sum(axis=1)
    return apart


def _longest(rows: NDArray[np.float32]) -> float:
    return float(np.square(rows).sum(axis=1).max())
