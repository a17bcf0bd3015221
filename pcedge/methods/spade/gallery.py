"""The gallery: features of all normal images on disk, and scores against them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import FLOAT, map_array
from pcedge.core.npz import REFIT

from .correspondences import Correspondences
from .layout import FeatureLayout

# File in a bundle with the features of the normal images.
FEATURES_FILE = "features.npy"


class Gallery:
    """Features of normal images that others are compared with.

    Args:
        path: ``.npy`` file, float32 [images, layout.length]; memory-mapped, only used rows are read.
        layout: Layout of its rows.
        neighbours: K, the number of nearest images; never more than there are.

    Attributes:
        descriptors: float32 [images, layout.descriptor].

    Raises:
        BundleError: The file is damaged, or its rows have another length than the layout.
    """

    def __init__(self, path: Path, layout: FeatureLayout, neighbours: int) -> None:
        self._rows = map_array(path, REFIT, FLOAT, "images", layout.length)
        self._layout = layout
        self._neighbours = neighbours
        self._correspondences = Correspondences(layout)
        self.descriptors = np.array(layout.descriptors_of(self._rows))

    def row(self, picture: int) -> NDArray[np.float32]:
        """The features of one of the images, float32 [layout.length]."""
        return np.array(self._rows[picture])

    def nearest(
        self, descriptor: NDArray[np.float32], among: Sequence[int] | None = None
    ) -> tuple[NDArray[np.int64], float]:
        """The K nearest images and their mean distance, the image score (paper, section 3.2).

        Args:
            descriptor: float32 [layout.descriptor].
            among: Indices of the images to choose from; None for all.
        """
        numbers = np.arange(len(self.descriptors)) if among is None else np.asarray(among, np.int64)
        apart = np.linalg.norm(self.descriptors[numbers].astype(np.float64) - descriptor, axis=1)
        order = np.argsort(apart, kind="stable")[: self._neighbours]
        return numbers[order], float(apart[order].mean())

    def scores(
        self, row: NDArray[np.float32], among: Sequence[int] | None = None
    ) -> tuple[NDArray[np.float32], float]:
        """Score every pixel against those of the K nearest images, and the image.

        Args:
            row: float32 [layout.length].
            among: Indices of the images to choose from; None for all.
        """
        chosen, score = self.nearest(row[: self._layout.descriptor], among)
        return self._correspondences.distances(row, [self._rows[picture] for picture in chosen]), score
