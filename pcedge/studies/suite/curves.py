"""Curves behind the metrics, as points to draw."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pcedge.evaluation.inference import Judged
from pcedge.evaluation.runs import Curve, Curves

_POINTS = 512


def curves_of(images: Sequence[Judged], aupro_limit: float) -> Curves:
    """ROC over images, ROC over pixels, and the PRO curve of defective images."""
    good = np.array([image.score for image in images if not image.sample.is_defect])
    bad = np.array([image.score for image in images if image.sample.is_defect])
    masked = [(image.score_map, image.mask) for image in images if image.mask is not None]
    defects = [np.asarray(score_map[mask]) for score_map, mask in masked if mask.any()]
    normal = [np.asarray(score_map[~mask]) for score_map, mask in masked]
    return Curves(
        image_roc=_roc(good, bad),
        pixel_roc=_sampled_roc(np.concatenate(normal), np.concatenate(defects)) if defects else None,
        pro=_pro([(score_map, mask) for score_map, mask in masked if mask.any()], aupro_limit),
    )


def _roc(normal: NDArray[np.floating], anomalous: NDArray[np.floating]) -> Curve | None:
    """Every corner of the ROC curve, (0, 0) and (1, 1) among them; None where it is not defined."""
    if not len(normal) or not len(anomalous):
        return None
    scores = np.concatenate([normal, anomalous])
    order = np.argsort(-scores, kind="stable")
    is_anomalous = (np.arange(len(scores)) >= len(normal))[order]
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    true = np.cumsum(is_anomalous)[last_of_tie] / len(anomalous)
    false = np.cumsum(~is_anomalous)[last_of_tie] / len(normal)
    return _curve(_corners(np.append(0, false), np.append(0, true)))


def _sampled_roc(normal: NDArray[np.floating], anomalous: NDArray[np.floating]) -> Curve | None:
    """The ROC curve at quantiles of both: of millions of scores, only so many points can be drawn."""
    if not len(normal):
        return None
    normal, anomalous = np.sort(normal), np.sort(anomalous)
    shares = np.linspace(0, 1, _POINTS // 2 - 1)
    places = [np.rint(shares * (len(values) - 1)).astype(int) for values in (normal, anomalous)]
    thresholds = np.unique(np.concatenate([normal[places[0]], anomalous[places[1]]]))[::-1]
    false, true = (
        1 - np.searchsorted(values, thresholds, "left") / len(values) for values in (normal, anomalous)
    )
    return _curve((np.append(0, false), np.append(0, true)))


def _pro(masked: Sequence[tuple[NDArray[np.float32], NDArray[np.bool_]]], limit: float) -> Curve | None:
    """Mean overlap with defect components at so many false-positive rates up to AUPRO's limit."""
    import cv2

    if not masked:
        return None
    normal = np.sort(np.concatenate([score_map[~mask] for score_map, mask in masked]))
    if not len(normal):
        return None
    rates = np.linspace(0, limit, _POINTS // 2)
    places = np.minimum((len(normal) * (1 - rates)).astype(int), len(normal) - 1)
    thresholds = normal[places]
    overlaps = []
    for score_map, mask in masked:
        count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        for label in range(1, count):
            region = np.sort(score_map[labels == label])
            overlaps.append(1 - np.searchsorted(region, thresholds, "right") / len(region))
    return _curve((rates, np.mean(overlaps, axis=0)))


def _corners(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Leave out points in the middle of a level or an upright line."""
    level = (np.diff(y[:-1]) == 0) & (np.diff(y[1:]) == 0)
    upright = (np.diff(x[:-1]) == 0) & (np.diff(x[1:]) == 0)
    kept = np.concatenate([[True], ~(level | upright), [True]])
    return x[kept], y[kept]


def _curve(points: tuple[NDArray[np.floating], NDArray[np.floating]]) -> Curve:
    x, y = points
    return Curve(x=tuple(map(float, x)), y=tuple(map(float, y)))
