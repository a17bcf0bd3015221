"""Scores of the training images against the bank itself, without the rows that come from the image scored.

Cross-validation chooses a smaller bank for every fold, which takes nearly all of its time and makes
distances larger than those of the bank that runs. Here the bank is the one that runs. But other rows were
chosen in view of the image left out, so what is proven of folds is not proven here.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import Bank
from pcedge.core.progress import Progress, silent

from .cross_validation import HeldOut, ImageScores, nameless_bank, patches_kept, scores_of_distances
from .folds import deal_folds

# Arranging rows for a search costs as much as searching for dozens of images: so they are arranged without
# the rows of whole parts of the groups, and the rows of a part's other groups are compared plainly.
_PARTS = 5
# What is proven: nothing.
_UNPROVEN = 0


def left_out(
    embeddings: NDArray[np.float32],
    bank: Bank,
    source: NDArray[np.int32],
    grid_hw: tuple[int, int],
    map_size: int,
    groups: Sequence[str],
    *,
    progress: Progress = silent,
) -> HeldOut:
    """Score every image by the bank's rows that come from other groups.

    Args:
        embeddings: float32 [images, patches, dims].
        bank: The bank that was fitted on these images.
        source: int32 [rows], the image that each row comes from.
        grid_hw: Grid of patches.
        map_size: Side of the anomaly map.
        groups: The group of each image, at least two; its own name for an ungrouped image.
        progress: Progress callback, called with the number of images scored, stage ``calibrate``.
    """
    keep = patches_kept(*embeddings.shape)
    number_of = np.unique(np.array(groups), return_inverse=True)[1]
    rows, group_of_row = bank.rows, number_of[source]
    scored: dict[int, ImageScores] = {}
    for part in deal_folds(groups, _PARTS, seed=0):
        inside = np.isin(group_of_row, number_of[part])
        outside = nameless_bank(rows[~inside]) if not inside.all() else None
        for image in part:
            distances, nearest = bank.search(embeddings[image])
            own = group_of_row == number_of[image]
            if (hits := own[nearest]).any():
                others = rows[inside & ~own]
                distances[hits] = _nearest_of(embeddings[image, hits], outside, others)
            scored[int(image)] = scores_of_distances(embeddings[image], distances, grid_hw, map_size, keep)
            progress("calibrate", len(scored), len(embeddings))
    return HeldOut(ImageScores.joined([scored[image] for image in range(len(embeddings))]), _UNPROVEN)


def _nearest_of(
    queries: NDArray[np.float32], outside: Bank | None, others: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Squared distances to the nearest of a bank's rows and of other rows; infinite if there are none."""
    distances = np.full(len(queries), np.inf, np.float32)
    if outside is not None:
        distances = outside.search(queries)[0]
    if len(others):
        nearest = (np.einsum("ij,ij->i", others, others) - 2 * queries @ others.T).argmin(axis=1)
        apart = queries - others[nearest]  # the sum of squares has the digits that the product lost
        distances = np.minimum(distances, np.einsum("ij,ij->i", apart, apart))
    return distances


def unproven(rate: float) -> str:
    """What thresholds at a rate promise, as text."""
    return (
        f"expected: about {rate:.2%} of new good parts are NG; nothing is proven, because each image was "
        "left out of a bank that was chosen in view of it (leave one out)."
    )
