"""From distances to scores: the image score and the anomaly map (paper, section 3.3)."""

import numpy as np
from numpy.typing import NDArray

# The reference smooths as scipy.ndimage.gaussian_filter(sigma=4) does: truncated at 4 sigma, so 33 taps.
SIGMA = 4.0
KERNEL = 33


def image_score(squared_distances: NDArray[np.float32]) -> float:
    """Anomaly score of an image: the largest of its patches' squared distances, before any smoothing."""
    return float(squared_distances.max())


def anomaly_map(
    squared_distances: NDArray[np.float32], grid_hw: tuple[int, int], size: int
) -> NDArray[np.float32]:
    """Patch scores [patches] as a smooth map float32 [size, size], in the same unit.

    Bilinear from pixel centre to pixel centre, then a Gaussian whose border repeats the edge pixel, as the
    reference implementation's does.
    """
    import cv2

    patches = np.ascontiguousarray(squared_distances.reshape(grid_hw))
    enlarged = cv2.resize(patches, (size, size), interpolation=cv2.INTER_LINEAR)
    blurred = cv2.GaussianBlur(enlarged, (KERNEL, KERNEL), SIGMA, borderType=cv2.BORDER_REFLECT)
    return np.asarray(blurred, np.float32)
