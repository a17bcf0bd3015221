"""Metrics of anomaly detection, exact, ties included; None where a metric is not defined."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

AUPRO_LIMIT = 0.3


def auroc(normal: NDArray[np.float32], anomalous: NDArray[np.float32]) -> float | None:
    """Probability that an anomalous score exceeds a normal one, ties counting half.

    Args:
        normal: Scores of normal images or pixels, [n].
        anomalous: Scores of anomalous ones, [m].

    Returns:
        The area under the ROC curve, or None when either is empty.
    """
    if not len(normal) or not len(anomalous):
        return None
    ordered = np.sort(normal)
    below = np.searchsorted(ordered, anomalous, "left")
    not_above = np.searchsorted(ordered, anomalous, "right")
    return float((below.mean(dtype=np.float64) + not_above.mean(dtype=np.float64)) / 2 / len(normal))


def pixel_auroc(maps: Sequence[NDArray[np.float32]], masks: Sequence[NDArray[np.bool_]]) -> float | None:
    """AUROC over all pixels of all maps; None when no pixel, or every pixel, is a defect."""
    if not maps:
        return None
    scores, defect = np.stack(maps), np.stack(masks)
    return auroc(scores[~defect], scores[defect])


def aupro(
    maps: Sequence[NDArray[np.float32]],
    masks: Sequence[NDArray[np.bool_]],
    limit: float = AUPRO_LIMIT,
) -> float | None:
    """Area under the per-region-overlap curve, for false-positive rates up to ``limit``, normalised.

    Per-region overlap at a threshold is the mean over defect components (8-connected) of the share of their
    pixels at or above it (Bergmann et al. 2021). Exact: a component's pixel of score s adds the part of the
    curve that lies right of the false-positive rate at s.

    Args:
        maps: float32 [h, w] each.
        masks: bool [h, w] each.
        limit: Largest false-positive rate, above 0 and at most 1.

    Returns:
        A value from 0 to 1, or None when there is no defect pixel or no normal one.
    """
    if not maps:
        return None
    components = [_components(mask) for mask in masks]
    normal = np.sort(np.concatenate([m[~mask] for m, mask in zip(maps, masks, strict=True)]))
    if not len(normal) or not any(len(regions) for regions in components):
        return None
    areas = [
        _area_beyond(score_map[region], normal, limit).mean()
        for score_map, regions in zip(maps, components, strict=True)
        for region in regions
    ]
    return float(np.mean(areas) / limit)


def _area_beyond(
    scores: NDArray[np.float32], normal: NDArray[np.float32], limit: float
) -> NDArray[np.float64]:
    """Width of the curve, up to ``limit``, over which each score is at or above the threshold.

    Between two neighbouring thresholds the curve is a straight line, so a score that ties with normal ones
    counts from none to all along that line.
    """
    above = 1.0 - np.searchsorted(normal, scores, "right") / len(normal)
    at_or_above = 1.0 - np.searchsorted(normal, scores, "left") / len(normal)
    tie = at_or_above - above
    whole = limit - (above + at_or_above) / 2
    cut = np.square(np.maximum(limit - above, 0.0)) / (2 * np.where(tie > 0, tie, 1.0))
    return np.where(at_or_above <= limit, whole, np.where(tie > 0, cut, 0.0))


def _components(mask_hw: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    import cv2

    count, labels = cv2.connectedComponents(mask_hw.astype(np.uint8), connectivity=8)
    return [labels == label for label in range(1, count)]
