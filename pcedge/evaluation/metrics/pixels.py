"""Metrics over the pixels of anomaly maps: exact, and in little memory however large and many the maps are.

Normal pixels are by far the most, and of them only their number below and level with each defect pixel's
score matters. So the maps are taken one by one; normal scores are put aside, sorted; and once all defect
scores are known, the normal ones pass by once more and are counted.
"""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from . import ranks
from .binned import Bins
from .bootstrap import RESAMPLES
from .metric import Metric
from .ranks import Numbers, Ranks
from .store import Defects, NormalScores

AUPRO_LIMIT = 0.3
_SLICE = 1 << 18


@dataclass(frozen=True)
class PixelResult:
    """How well maps tell defect pixels from others. Anomalous images are those whose mask marks a pixel.

    Attributes:
        auroc: Over the pixels of all images.
        auroc_anomalous: Over the pixels of anomalous images.
        average_precision: Over the pixels of all images.
        f1_max: Over the pixels of all images, with its threshold.
        aupro: Area under the per-region-overlap curve up to the limit, on anomalous images.
        aupro_all: The same with the false positives of all images.
    """

    auroc: Metric
    auroc_anomalous: Metric
    average_precision: Metric
    f1_max: Metric
    aupro: Metric
    aupro_all: Metric

    @classmethod
    def undefined(cls, reason: str) -> "PixelResult":
        """Nothing of it is defined."""
        return cls(*[Metric.undefined(reason)] * 6)


class PixelMetrics:
    """Collects maps and masks one by one::

        with PixelMetrics(limit=0.05) as metrics:
            for score_map, mask in results:
                metrics.add(score_map, mask)
            found = metrics.compute()

    Args:
        limit: Largest false-positive rate of the AUPRO, above 0 and at most 1.
        resamples: Draws of the bootstrap over images.
        seed: Of the bootstrap.
    """

    def __init__(self, limit: float = AUPRO_LIMIT, *, resamples: int = RESAMPLES, seed: int = 0) -> None:
        self._limit, self._resamples, self._seed = limit, resamples, seed
        self._defects: list[Defects] = []
        self._anomalous, self._good = NormalScores(), NormalScores()
        self._extremes: dict[bool, list[np.float32]] = {True: [], False: []}

    def __enter__(self) -> "PixelMetrics":
        return self

    def __exit__(self, *_: object) -> None:
        self._anomalous.close()
        self._good.close()

    def add(self, score_map: NDArray[np.float32], mask: NDArray[np.bool_]) -> None:
        """Take an image's map (float32 [h, w]) and mask (bool [h, w]); neither is kept or changed."""
        score_map = np.asarray(score_map, np.float32)
        is_anomalous = bool(mask.any())
        self._extremes[is_anomalous] += [score_map.min(), score_map.max()]
        if is_anomalous:
            self._defects.append(Defects.of(score_map, mask))
        (self._anomalous if is_anomalous else self._good).add(score_map[~mask])

    def compute(self) -> PixelResult:
        """Measure all maps that were added; more may be added afterwards."""
        anomalous, good = self._extremes[True], self._extremes[False]
        if reason := self._degenerate(anomalous + good):
            return PixelResult.undefined(reason)
        ranking, weights, regions = _rank(self._defects)
        bins = Bins(self._some_scores(), self._defects)
        _count(self._anomalous, ranking, bins, anomalous=True)
        on_anomalous = self._on_anomalous(ranking, weights, regions, bins)
        _count(self._good, ranking, bins, anomalous=False)
        ranking = replace(ranking, normals=len(self._anomalous) + len(self._good))
        exact = ranks.auroc(ranking), ranks.aupro(ranking, weights, regions, self._limit)
        auroc, aupro = bins.on_all(*exact, self._limit, self._resamples, self._seed)
        f1, threshold = ranks.f1_max(ranking)
        return PixelResult(
            auroc=auroc,
            auroc_anomalous=on_anomalous[0],
            average_precision=Metric(ranks.average_precision(ranking)),
            f1_max=Metric(f1, threshold=threshold),
            aupro=on_anomalous[1],
            aupro_all=aupro,
        )

    def _on_anomalous(
        self, ranking: Ranks, weights: NDArray[np.float32], regions: int, bins: Bins
    ) -> tuple[Metric, Metric]:
        """AUROC and AUPRO of anomalous images, whose normal pixels alone have been counted so far."""
        if not len(self._anomalous):
            return (Metric.undefined("anomalous images have no normal pixels"),) * 2
        if min(self._extremes[True]) == max(self._extremes[True]):
            return (Metric.undefined("all scores of anomalous images are equal"),) * 2
        ranking = replace(ranking, normals=len(self._anomalous))
        exact = ranks.auroc(ranking), ranks.aupro(ranking, weights, regions, self._limit)
        return bins.on_anomalous(*exact, self._limit, self._resamples, self._seed)

    def _degenerate(self, extremes: list[np.float32]) -> str:
        """Why nothing can be measured; empty where it can."""
        if not self._defects:
            return "no defect pixels"
        if not len(self._anomalous) + len(self._good):
            return "no normal pixels"
        if np.isnan(extremes).any():
            return "a map holds values that are not numbers"
        return "all scores are equal" if min(extremes) == max(extremes) else ""

    def _some_scores(self) -> NDArray[np.float32]:
        """Of defect and normal pixels alike, about as many of each."""
        normal = np.concatenate([*self._anomalous.sample(), *self._good.sample()])
        defects = np.concatenate([found.scores for found in self._defects])
        return np.concatenate([normal, defects[:: max(1, len(defects) // max(len(normal), 1))]])


def pixel_metrics(
    maps: Iterable[NDArray[np.float32]], masks: Iterable[NDArray[np.bool_]], limit: float = AUPRO_LIMIT
) -> PixelResult:
    """Measure maps (float32 [h, w] each) and masks (bool [h, w] each) that are at hand."""
    with PixelMetrics(limit) as metrics:
        for score_map, mask in zip(maps, masks, strict=True):
            metrics.add(score_map, mask)
        return metrics.compute()


def _rank(defects: list[Defects]) -> tuple[Ranks, NDArray[np.float32], int]:
    """Distinct defect scores, among no normal ones yet; their pixels' weights; and the number of regions."""
    scores = np.concatenate([found.scores for found in defects])
    order = np.argsort(scores)
    scores = scores[order]
    weights = np.concatenate([found.weights for found in defects])[order]
    starts = np.flatnonzero(np.append(True, scores[1:] != scores[:-1]))
    counts = np.diff(np.append(starts, len(scores)))
    nothing: Numbers = np.zeros(len(starts), np.int64)
    ranking = Ranks(scores[starts], counts, nothing, nothing.copy(), 0)
    return ranking, np.add.reduceat(weights, starts), sum(found.regions for found in defects)


def _count(normal: NormalScores, ranking: Ranks, bins: Bins, *, anomalous: bool) -> None:
    """Add normal scores to the counts below and level with each defect score, in place."""
    slices = [slice(begin, begin + _SLICE) for begin in range(0, len(ranking.scores), _SLICE)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for block in normal.blocks():
            for ordered in block:
                bins.add(ordered, anomalous=anomalous)
            together = np.concatenate(block)
            if not len(together):
                continue
            together.sort()
            list(pool.map(lambda part, together=together: _count_slice(together, ranking, part), slices))


def _count_slice(ordered: NDArray[np.float32], ranking: Ranks, part: slice) -> None:
    scores = ranking.scores[part]
    below = np.searchsorted(ordered, scores, "left")
    ranking.below[part] += below
    # Most scores have no equal; only those that do are looked up a second time.
    tied = np.flatnonzero(ordered.take(below, mode="clip") == scores)
    ranking.level[part][tied] += np.searchsorted(ordered, scores[tied], "right") - below[tied]
