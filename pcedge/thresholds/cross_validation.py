"""Cross-validated scores of the training images: k folds, each scored by a bank made without it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import Bank, CoresetSize, RowSources, greedy_coreset
from pcedge.core.preprocessing import Preprocessing
from pcedge.core.progress import Progress, silent
from pcedge.core.scoring import anomaly_map, image_score, reweighted_score

from .folds import deal_folds

FOLDS = 5
# Patches per image whose embeddings are kept beside the scores; fewer if they exceed this many bytes.
MOST_KEPT, KEPT_BYTES = 16, 8 * 2**20


@dataclass(frozen=True, eq=False)
class ImageScores:
    """Scores of images against banks that had not seen them.

    Attributes:
        scores: float32 [images], image scores.
        map_peaks: float32 [images], the largest value of each anomaly map.
        squared_distances: float32 [images, patches], to the nearest bank row.
        farthest: int32 [images, kept], the patches of each image with the largest distances, the largest
            first.
        embeddings: float32 [images, kept, dims], embeddings of these patches.
    """

    scores: NDArray[np.float32]
    map_peaks: NDArray[np.float32]
    squared_distances: NDArray[np.float32]
    farthest: NDArray[np.int32]
    embeddings: NDArray[np.float32]

    @classmethod
    def joined(cls, parts: "Sequence[ImageScores]") -> "ImageScores":
        """Concatenate results, in order."""
        return cls(
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.map_peaks for part in parts]),
            np.concatenate([part.squared_distances for part in parts]),
            np.concatenate([part.farthest for part in parts]),
            np.concatenate([part.embeddings for part in parts]),
        )

    def take(self, images: Sequence[int] | NDArray[np.int64]) -> "ImageScores":
        """A selection of the images, in the order given."""
        chosen = np.asarray(images, np.int64)
        return ImageScores(
            self.scores[chosen],
            self.map_peaks[chosen],
            self.squared_distances[chosen],
            self.farthest[chosen],
            self.embeddings[chosen],
        )


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Held-out scores of every image.

    Attributes:
        scored: What they scored.
        folds: Number of folds; 1 if one bank saw none of the images; 0 if each was left out by itself of the
            bank that runs.
    """

    scored: ImageScores
    folds: int

    @property
    def scores(self) -> NDArray[np.float32]:
        """float32 [images], image scores."""
        return self.scored.scores

    @property
    def map_peaks(self) -> NDArray[np.float32]:
        """float32 [images], the largest value of each anomaly map."""
        return self.scored.map_peaks


def patches_kept(images: int, patches: int, dims: int) -> int:
    """Number of patches per image whose embeddings are kept: at least one, limited to bound memory."""
    affordable = KEPT_BYTES // max(1, images * dims * 4)
    return min(MOST_KEPT, patches, max(1, affordable))


def held_out(
    embeddings: NDArray[np.float32],
    projected: NDArray[np.float32],
    size: CoresetSize,
    preprocessing: Preprocessing,
    grid_hw: tuple[int, int],
    *,
    seed: int,
    neighbours: int = 1,
    folds: int = FOLDS,
    groups: Sequence[str] | None = None,
    bank: Bank | None = None,
    progress: Progress = silent,
) -> HeldOut:
    """Score every image against a bank chosen without the images of its fold.

    A small bank may have a gap, where the folds' banks have none, at a feature that all parts show. It then
    scores every part high, even those it was fitted on. So each distance is the larger of those to the fold's
    bank and to the bank itself.

    Args:
        embeddings: float32 [images, patches, dims].
        projected: float32 [images, patches, projection dims], used to select coresets.
        size: Number of rows in the coreset.
        preprocessing: Defines the size of the map.
        grid_hw: Grid of patches.
        seed: Random seed of the folds.
        neighbours: Bank rows that re-weight the image score; 1 for none.
        folds: Maximum number of folds; never more than images, or groups.
        groups: The group of each image; a group is held out together. None for ungrouped images.
        bank: The final bank, fitted on all images; None to score by the folds alone.
        progress: Progress callback, called with the number of images scored, stage ``calibrate``.
    """
    images = len(embeddings)
    kept = patches_kept(*embeddings.shape)
    parts: list[ImageScores] = []
    order: list[int] = []
    dealt = list(split_into_folds(images, folds, seed, groups))
    for held in dealt:
        without = bank_of(np.setdiff1d(np.arange(images), held), embeddings, projected, size)
        banks = (without,) if bank is None else (without, bank)
        for image in held:
            one, side = embeddings[image : image + 1], preprocessing.input_size
            parts.append(score_images(one, banks, grid_hw, side, neighbours, keep=kept))
            order.append(int(image))
            progress("calibrate", len(order), images)
    return HeldOut(ImageScores.joined(parts).take(np.argsort(order)), len(dealt))


def score_images(
    embeddings: NDArray[np.float32],
    banks: Bank | Sequence[Bank],
    grid_hw: tuple[int, int],
    map_size: int,
    neighbours: int = 1,
    *,
    keep: int = MOST_KEPT,
) -> ImageScores:
    """Score images and keep the embeddings of their farthest patches.

    Args:
        embeddings: float32 [images, patches, dims].
        banks: Banks to score against; with several, the largest distance of each patch counts.
        grid_hw: Grid of patches.
        map_size: Side of the anomaly map.
        neighbours: Bank rows that re-weight the image score; 1 for none.
        keep: Number of patches per image whose embeddings are kept.
    """
    several = (banks,) if isinstance(banks, Bank) else tuple(banks)
    images, patches, dims = embeddings.shape
    keep = min(keep, patches)
    scored = ImageScores(
        np.empty(images, np.float32),
        np.empty(images, np.float32),
        np.empty((images, patches), np.float32),
        np.empty((images, keep), np.int32),
        np.empty((images, keep, dims), np.float32),
    )
    for image, rows in enumerate(embeddings):
        found = [(bank, *bank.search(rows)) for bank in several]
        scored.scores[image] = max(
            reweighted_score(apart, nearest, rows, bank, neighbours) for bank, apart, nearest in found
        )
        distances = np.maximum.reduce([apart for _, apart, _ in found])
        scored.map_peaks[image] = anomaly_map(distances, grid_hw, map_size).max()
        scored.squared_distances[image] = distances
        scored.farthest[image] = np.argsort(-distances, kind="stable")[:keep]
        scored.embeddings[image] = rows[scored.farthest[image]]
    return scored


def scores_of_distances(
    rows: NDArray[np.float32],
    squared_distances: NDArray[np.float32],
    grid_hw: tuple[int, int],
    map_size: int,
    keep: int,
) -> ImageScores:
    """The scores of one image whose distances are known; without re-weighting.

    Args:
        rows: float32 [patches, dims], its embeddings.
        squared_distances: float32 [patches].
        grid_hw: Grid of patches.
        map_size: Side of the anomaly map.
        keep: Number of patches whose embeddings are kept.
    """
    farthest = np.argsort(-squared_distances, kind="stable")[:keep].astype(np.int32)
    peak = anomaly_map(squared_distances, grid_hw, map_size).max()
    return ImageScores(
        np.array([image_score(squared_distances)], np.float32),
        np.array([peak], np.float32),
        squared_distances[np.newaxis],
        farthest[np.newaxis],
        rows[farthest][np.newaxis],
    )


def nameless_bank(rows: NDArray[np.float32]) -> Bank:
    """A bank of rows [n, dims] for searching only, without the rows' sources."""
    unnamed = np.zeros(len(rows), np.int32)
    return Bank.build(rows, RowSources((), unnamed, unnamed, unnamed))


def split_into_folds(
    images: int, folds: int, seed: int, groups: Sequence[str] | None = None
) -> list[NDArray[np.int64]]:
    """Image indices of each fold; never more folds than images, or groups."""
    return deal_folds(groups or [str(image) for image in range(images)], folds, seed)


def bank_of(
    images: NDArray[np.int64],
    embeddings: NDArray[np.float32],
    projected: NDArray[np.float32],
    size: CoresetSize,
) -> Bank:
    """The bank of a selection of images, with its rows selected as in a fit.

    The image of a row is numbered within the selection.

    Args:
        images: Their indices.
        embeddings: float32 [images, patches, dims].
        projected: float32 [images, patches, projection dims].
        size: Number of rows in the coreset.
    """
    rows = projected[images].reshape(-1, projected.shape[-1])
    picks = greedy_coreset(rows, size.rows(len(rows))).picks
    image, patch = np.divmod(picks, embeddings.shape[1])
    places = np.zeros(len(picks), np.int32)
    sources = RowSources((), image.astype(np.int32), places, places)
    return Bank.build(embeddings[images[image], patch], sources)
