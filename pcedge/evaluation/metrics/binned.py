"""What the bootstrap keeps of each image: how its pixels spread over a thousand bins of score.

The intervals need no more than that. The metrics themselves are exact, and an interval is moved by what the
bins change.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .bootstrap import Matrix, aupros, aurocs, draw, interval
from .metric import Metric
from .store import Defects

_EDGES = 1024


@dataclass(frozen=True, eq=False)
class Draws:
    """How often each image is in each draw; the first row is every image once.

    Attributes:
        anomalous: Of anomalous images, [1 + draws, images].
        good: Of the others.
    """

    anomalous: Matrix
    good: Matrix

    @classmethod
    def of(cls, anomalous: int, good: int, resamples: int, seed: int) -> "Draws":
        """Draw good and anomalous images apart."""
        rng = np.random.default_rng(seed)
        drawn = [draw(rng, images, resamples) for images in (anomalous, good)]
        return cls(*(np.vstack([np.ones((1, rows.shape[1])), rows]) for rows in drawn))


class Bins:
    """Spread of each image's pixels over the bins.

    Args:
        scores: Some scores, by which the edges are placed: as many between any two neighbouring edges.
        defects: Of each anomalous image.
    """

    def __init__(self, scores: NDArray[np.float32], defects: list[Defects]) -> None:
        self._edges = np.unique(np.quantile(scores, np.linspace(0, 1, _EDGES)).astype(np.float32))
        self._defects = np.stack([self._spread(found.scores) for found in defects])
        self._weights = np.stack([self._spread(found.scores, found.weights) for found in defects])
        self._regions = np.array([found.regions for found in defects], float)
        self._anomalous: list[Matrix] = []
        self._good: list[Matrix] = []

    def add(self, ordered: NDArray[np.float32], *, anomalous: bool) -> None:
        """Take an image's normal scores, sorted."""
        ends = [0, *np.searchsorted(ordered, self._edges, "left"), len(ordered)]
        (self._anomalous if anomalous else self._good).append(np.diff(ends).astype(np.float64))

    def on_anomalous(
        self, auroc: float, aupro: float, limit: float, resamples: int, seed: int
    ) -> tuple[Metric, Metric]:
        """The two metrics of anomalous images with their intervals."""
        draws = Draws.of(len(self._anomalous), 0, resamples, seed)
        return self._measured(draws, draws.anomalous @ np.stack(self._anomalous), auroc, aupro, limit)

    def on_all(
        self, auroc: float, aupro: float, limit: float, resamples: int, seed: int
    ) -> tuple[Metric, Metric]:
        """The two metrics of all images with their intervals."""
        draws = Draws.of(len(self._anomalous), len(self._good), resamples, seed)
        normal = draws.anomalous @ np.stack(self._anomalous)
        if self._good:
            normal += draws.good @ np.stack(self._good)
        return self._measured(draws, normal, auroc, aupro, limit)

    def _measured(
        self, draws: Draws, normal: Matrix, auroc: float, aupro: float, limit: float
    ) -> tuple[Metric, Metric]:
        if len(self._anomalous) < 2:
            return Metric(auroc), Metric(aupro)
        regions = draws.anomalous @ self._regions
        found_auroc = aurocs(normal, draws.anomalous @ self._defects)
        found_aupro = aupros(normal, draws.anomalous @ self._weights, regions, limit)
        return (
            Metric(auroc, *interval(auroc, found_auroc[0], found_auroc[1:])),
            Metric(aupro, *interval(aupro, found_aupro[0], found_aupro[1:])),
        )

    def _spread(self, scores: NDArray[np.float32], weights: NDArray[np.float32] | None = None) -> Matrix:
        places = np.searchsorted(self._edges, scores, "right")
        return np.bincount(places, weights, minlength=len(self._edges) + 1).astype(np.float64)
