"""The Gaussians of PaDiM: mean and covariance of the features at every position (paper, section III-B).

The Mahalanobis distance (III-C) is written as a length: with the Cholesky factor L of a covariance,
(x - mean)' covariance^-1 (x - mean) = |L^-1 (x - mean)|^2. So a covariance is stored as its whitening matrix,
the transpose of L^-1, which multiplies row vectors.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

# The paper's epsilon, added to the diagonal so that a covariance of few images is invertible.
REGULARISATION = 0.01
# Positions are processed in blocks of about this many bytes, for any number of dims.
_BLOCK_BYTES = 128_000_000
_FLOAT64 = 8


def gaussians_of(
    features: NDArray[np.float32], folds: Sequence[NDArray[np.int64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Gaussians of some positions, and the distance of each image from those without its fold.

    The sums of every fold are computed once, in float64 and centred on the mean of all images; the sums
    without a fold are the total minus its own.

    Args:
        features: float32 [images, positions, dims].
        folds: Image indices of each fold; at least two images must be outside of each fold.

    Returns:
        Means [positions, dims], whitening matrices [positions, dims, dims], and distances
        [images, positions], each image's from Gaussians made without its fold.
    """
    rows = features.transpose(1, 0, 2).astype(np.float64)
    centre = rows.mean(axis=1)
    rows -= centre[:, np.newaxis]
    sums = [rows[:, fold].sum(axis=1) for fold in folds]
    products = [rows[:, fold].transpose(0, 2, 1) @ rows[:, fold] for fold in folds]
    images, all_products, all_sums = rows.shape[1], np.add.reduce(products), np.add.reduce(sums)
    distances = np.empty(features.shape[:2])
    for fold, one_sum, one_product in zip(folds, sums, products, strict=True):
        left = images - len(fold)
        mean = (all_sums - one_sum) / left
        matrices = _whitening(all_products - one_product, mean, left)
        distances[fold] = np.linalg.norm((rows[:, fold] - mean[:, np.newaxis]) @ matrices, axis=2).T
    return centre, _whitening(all_products, np.zeros_like(centre), images), distances


def blocks(positions: int, images: int, dims: int, folds: int) -> Iterator[slice]:
    """Slices of the positions, each small enough for a fixed amount of memory."""
    matrices = folds + 6  # sums of each fold, of all, and intermediate results
    copies = 3  # features of all images, and of a fold before and after whitening
    step = max(1, _BLOCK_BYTES // (dims * (matrices * dims + copies * images) * _FLOAT64))
    for start in range(0, positions, step):
        yield slice(start, min(start + step, positions))


def _whitening(products: NDArray[np.float64], mean: NDArray[np.float64], images: int) -> NDArray[np.float64]:
    """Whitening matrices from sums of outer products [positions, dims, dims] over a number of images."""
    spread = products - images * mean[:, :, np.newaxis] * mean[:, np.newaxis, :]
    covariances = spread / (images - 1) + REGULARISATION * np.eye(mean.shape[1])
    factors = np.linalg.cholesky(covariances)
    inverses: NDArray[np.float64] = np.linalg.inv(factors)
    return inverses.transpose(0, 2, 1)
