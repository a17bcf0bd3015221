"""Image score and anomaly map from patch distances (paper, section 3.3)."""

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import Bank
from pcedge.errors import OptionError

# The reference smooths as scipy.ndimage.gaussian_filter(sigma=4) does: truncated at 4 sigma, so 33 taps.
SIGMA = 4.0
KERNEL = 33


def image_score(squared_distances: NDArray[np.float32]) -> float:
    """Anomaly score of an image: the largest of its patches' squared distances, before any smoothing."""
    return float(squared_distances.max())


def check_neighbours(neighbours: int) -> int:
    """Check and return the number of neighbours that re-weight the image score.

    Raises:
        OptionError: The number is below 1.
    """
    if neighbours < 1:
        raise OptionError(
            f"{neighbours} neighbours cannot re-weight a score.",
            "Give --neighbours 1 for no re-weighting, or a few, such as 3 or 9.",
        )
    return neighbours


def reweighted_score(
    squared_distances: NDArray[np.float32],
    rows: NDArray[np.int64],
    embeddings: NDArray[np.float32],
    bank: Bank,
    neighbours: int,
) -> float:
    """Anomaly score of an image by the paper's equation 7, squared to have the unit of all other scores.

    With the patch p that is farthest from the bank, and m* its nearest row, at the distance s*, the paper has
    s = (1 - exp(|p - m*|) / sum of exp(|p - m|)) s* over the ``neighbours`` rows m nearest to m*, m* among
    them: an anomaly beside a row that stands alone counts more. Squaring keeps the order of the images.

    Args:
        squared_distances: float32 [patches], to the nearest bank row.
        rows: int64 [patches], the index of that row.
        embeddings: float32 [patches, dims].
        bank: The rows.
        neighbours: At least 1; with 1 the score is ``image_score``, as in the official implementation.
    """
    score = image_score(squared_distances)
    if neighbours == 1 or len(bank) == 1 or not np.isfinite(score):
        return score
    patch = int(squared_distances.argmax())
    around = bank.around(int(rows[patch]), neighbours).astype(np.float64)
    distances = np.linalg.norm(around - embeddings[patch], axis=1)
    nearest, largest = np.sqrt(np.float64(score)), distances.max()
    # No exponent is above 0, so that nothing overflows, however large the distances are.
    weight = 1.0 - np.exp(nearest - largest) / np.exp(distances - largest).sum()
    return float(np.square(max(weight, 0.0) * nearest))


def anomaly_map(
    squared_distances: NDArray[np.float32], grid_hw: tuple[int, int], size: int
) -> NDArray[np.float32]:
    """Upsample patch scores [patches] to a smooth map, float32 [size, size], in the same unit.

    Bilinear interpolation between pixel centres, then a Gaussian filter whose border repeats the edge pixel,
    as in the reference implementation.
    """
    import cv2

    patches = np.ascontiguousarray(squared_distances.reshape(grid_hw))
    enlarged = cv2.resize(patches, (size, size), interpolation=cv2.INTER_LINEAR)
    blurred = cv2.GaussianBlur(enlarged, (KERNEL, KERNEL), SIGMA, borderType=cv2.BORDER_REFLECT)
    return np.asarray(blurred, np.float32)
