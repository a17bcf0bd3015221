"""Metrics over the scores of whole images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import ranks
from .bootstrap import RESAMPLES, aurocs, draw_counts, interval
from .metric import Metric
from .ranks import Ranks


@dataclass(frozen=True)
class ImageMetrics:
    """How well image scores tell defective from good images.

    Attributes:
        auroc: Area under the ROC curve, with a bootstrap interval.
        average_precision: Area under the precision-recall steps, defects being what is looked for.
        f1_max: The highest F1 score of any threshold, with that threshold.
    """

    auroc: Metric
    average_precision: Metric
    f1_max: Metric


def image_metrics(
    good: NDArray[np.float32], defective: NDArray[np.float32], *, resamples: int = RESAMPLES, seed: int = 0
) -> ImageMetrics:
    """Measure image scores.

    Args:
        good: Scores of good images, [n].
        defective: Scores of defective images, [m].
        resamples: Draws of the bootstrap.
        seed: Of the bootstrap.
    """
    if reason := _degenerate(good, defective):
        return ImageMetrics(*[Metric.undefined(reason)] * 3)
    ranking = Ranks.of(good, defective)
    f1, threshold = ranks.f1_max(ranking)
    return ImageMetrics(
        auroc=_auroc(ranks.auroc(ranking), good, defective, resamples, seed),
        average_precision=Metric(ranks.average_precision(ranking)),
        f1_max=Metric(f1, threshold=threshold),
    )


def _degenerate(good: NDArray[np.float32], defective: NDArray[np.float32]) -> str:
    """Why nothing can be measured; empty where it can."""
    if not len(good):
        return "no good images"
    if not len(defective):
        return "no defective images"
    scores = np.concatenate([good, defective])
    if np.isnan(scores).any():
        return "a score is not a number"
    return "all scores are equal" if scores.min() == scores.max() else ""


def _auroc(
    value: float, good: NDArray[np.float32], defective: NDArray[np.float32], resamples: int, seed: int
) -> Metric:
    if min(len(good), len(defective)) < 2:
        return Metric(value)
    rng = np.random.default_rng(seed)
    scores, places = np.unique(np.concatenate([good, defective]), return_inverse=True)
    sides = (places[: len(good)], places[len(good) :])
    normal, anomalous = (
        draw_counts(rng, np.bincount(side, minlength=len(scores)), resamples) for side in sides
    )
    low, high = interval(value, value, aurocs(normal, anomalous))
    return Metric(value, low, high)
