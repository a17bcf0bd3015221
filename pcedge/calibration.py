"""What good images score when the bank has not seen them: k folds over the training images."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import Bank, CoresetSize, RowSources, greedy_coreset
from pcedge.preprocessing import Preprocessing
from pcedge.progress import Progress, silent
from pcedge.scoring import anomaly_map, reweighted_score

FOLDS = 5


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Held-out results of every image.

    Attributes:
        scores: float32 [images], image scores.
        map_peaks: float32 [images], the largest value of each anomaly map.
        folds: How many folds there were.
    """

    scores: NDArray[np.float32]
    map_peaks: NDArray[np.float32]
    folds: int


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
    progress: Progress = silent,
) -> HeldOut:
    """Score every image against a bank chosen without the images of its fold.

    Args:
        embeddings: float32 [images, patches, dims].
        projected: float32 [images, patches, projection dims], what coresets are chosen by.
        size: Of the coreset.
        preprocessing: Gives the map's size.
        grid_hw: Grid of patches.
        seed: Of the folds.
        neighbours: Bank rows that re-weight the image score; 1 for none.
        folds: At most; never more than images.
        progress: Told of images scored, as the stage ``calibrate``.
    """
    images = len(embeddings)
    scores, peaks = np.empty(images, np.float32), np.empty(images, np.float32)
    done = 0
    for held in split_into_folds(images, folds, seed):
        bank = _bank_without(held, embeddings, projected, size)
        for image in held:
            one = embeddings[image : image + 1]
            (scores[image],), (peaks[image],) = score_images(
                one, bank, grid_hw, preprocessing.input_size, neighbours
            )
            done += 1
            progress("calibrate", done, images)
    return HeldOut(scores, peaks, min(folds, images))


def score_images(
    embeddings: NDArray[np.float32],
    bank: Bank,
    grid_hw: tuple[int, int],
    map_size: int,
    neighbours: int = 1,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Image scores and map peaks, float32 [images] each, of embeddings [images, patches, dims]."""
    scores, peaks = np.empty(len(embeddings), np.float32), np.empty(len(embeddings), np.float32)
    for image, rows in enumerate(embeddings):
        distances, nearest = bank.search(rows)
        scores[image] = reweighted_score(distances, nearest, rows, bank, neighbours)
        peaks[image] = anomaly_map(distances, grid_hw, map_size).max()
    return scores, peaks


def split_into_folds(images: int, folds: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """The numbers of the images of each fold; never more folds than images."""
    shuffled = np.random.default_rng(seed).permutation(images)
    yield from np.array_split(shuffled, min(folds, images))


def _bank_without(
    held: NDArray[np.int64],
    embeddings: NDArray[np.float32],
    projected: NDArray[np.float32],
    size: CoresetSize,
) -> Bank:
    kept = np.setdiff1d(np.arange(len(embeddings)), held)
    rows = projected[kept].reshape(-1, projected.shape[-1])
    picks = greedy_coreset(rows, size.rows(len(rows))).picks
    image, patch = np.divmod(picks, embeddings.shape[1])
    unnamed = np.zeros(len(picks), np.int32)
    return Bank.build(embeddings[kept[image], patch], RowSources((), unnamed, unnamed, unnamed))
