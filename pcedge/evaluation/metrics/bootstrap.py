"""Bootstrap intervals: what would other images of the same kind have given?

Images are drawn again with replacement, good and defective ones apart, and the metric is taken of each draw.
All draws are worked out together, as rows of matrices.
"""

import numpy as np
from numpy.typing import NDArray

from .metric import CONFIDENCE
from .ranks import area_beyond

RESAMPLES = 1000

Matrix = NDArray[np.float64]


def draw(rng: np.random.Generator, images: int, resamples: int) -> Matrix:
    """How often each image is in each draw of as many images, float64 [resamples, images]."""
    if not images:
        return np.zeros((resamples, 0))
    return rng.multinomial(images, np.full(images, 1 / images), resamples).astype(np.float64)


def draw_counts(rng: np.random.Generator, counts: NDArray[np.int64], resamples: int) -> Matrix:
    """The same for images of which ``counts`` share each score, float64 [resamples, scores]."""
    total = int(counts.sum())
    return rng.multinomial(total, counts / total, resamples).astype(np.float64)


def aurocs(normal: Matrix, anomalous: Matrix) -> Matrix:
    """AUROC of each row: how many normal and how many anomalous scores lie in each bin, ascending."""
    below = np.cumsum(normal, axis=1) - normal
    won = np.sum(anomalous * (below + normal / 2), axis=1)
    pairs = normal.sum(axis=1) * anomalous.sum(axis=1)
    return np.asarray(won / np.maximum(pairs, 1.0), np.float64)


def aupros(normal: Matrix, weights: Matrix, regions: Matrix, limit: float) -> Matrix:
    """AUPRO of each row: normal pixels and defect pixels over their regions' sizes in each bin, ascending."""
    below = np.cumsum(normal, axis=1) - normal
    normals = np.maximum(normal.sum(axis=1, keepdims=True), 1.0)
    area = np.sum(weights * area_beyond(below, normal, normals, limit), axis=1)
    return np.asarray(area / (np.maximum(regions, 1.0) * limit), np.float64)


def interval(value: float, centre: float, drawn: Matrix) -> tuple[float, float]:
    """The middle 95 % of what was drawn, moved by what binning changed.

    Args:
        value: The metric, exact.
        centre: The metric of all images as the bins give it.
        drawn: The metric of each draw as the bins give it.
    """
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail]) + (value - centre)
    return float(np.clip(low, 0.0, value)), float(np.clip(high, value, 1.0))
