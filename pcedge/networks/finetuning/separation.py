"""The criterion: on held-out nominal images, how well does a bank tell synthetic faults from none?

It asks the network what a bank will ask it, and needs no defects. Its faults are scratches, spots, stains,
print and displaced pieces, not those that ``cutmix`` trains on: a network that only learned to see pasted
rectangles gains nothing here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import Bank, RowSources, greedy_coreset, project
from pcedge.core.preprocessing import Preprocessing
from pcedge.export import Runtime
from pcedge.networks.distillation import with_local_change
from pcedge.thresholds.cross_validation import score_images

from .images import Pictures, TuningSplit, network_input

_BANK_PICTURES = 32
_BANK_SHARE = 0.01
_FAULTS = 3
_BATCH = 8
_SEPARATION = 2


@dataclass(frozen=True, eq=False)
class Separation:
    """How often a fault scores above no fault.

    Attributes:
        wins: float64 [pictures, pictures]: share of the faults on the second image that score above the
            first one without a fault, ties counting half.
    """

    wins: NDArray[np.float64]

    @property
    def auroc(self) -> float:
        """Over all pairs."""
        return float(self.wins.mean())

    def gain_over(self, other: "Separation") -> tuple[float, float]:
        """By how much more it is than another one of the same images, and the standard error of that.

        DeLong et al. 1988, by images, since an image's faults have it in common (Obuchowski 1997).
        """
        gains = self.wins - other.wins
        of_pictures = gains.mean(axis=0) + gains.mean(axis=1)
        return float(gains.mean()), float(of_pictures.std(ddof=1) / np.sqrt(len(gains)))


class Criterion:
    """Measures networks on the same images and faults.

    Args:
        split: The bank is of images to tune on, scores are of held-out ones.
        preprocessing: How images become the network's input.
        grid_hw: Grid of patches.
        seed: Of the faults.
    """

    def __init__(
        self, split: TuningSplit, preprocessing: Preprocessing, grid_hw: tuple[int, int], seed: int
    ) -> None:
        rng = np.random.default_rng([seed, _SEPARATION])
        self._preprocessing = preprocessing
        self._grid_hw = grid_hw
        self._seed = seed
        self._bank_pictures = split.train[:_BANK_PICTURES]
        self._clean = split.held_out
        self._faulty = np.stack(
            [with_local_change(rng, picture) for picture in split.held_out for _ in range(_FAULTS)]
        )

    def measure(self, runtime: Runtime) -> Separation:
        """Fill a bank through an embedder and score the held-out images."""
        bank = self._bank(self._embed(runtime, self._bank_pictures))
        clean, faulty = self._scores(runtime, bank, self._clean), self._scores(runtime, bank, self._faulty)
        faults = faulty.reshape(1, len(clean), _FAULTS)
        normal = clean[:, np.newaxis, np.newaxis]
        return Separation(((faults > normal) + 0.5 * (faults == normal)).mean(axis=2))

    def _scores(self, runtime: Runtime, bank: Bank, pictures: Pictures) -> NDArray[np.float32]:
        embeddings = self._embed(runtime, pictures)
        return score_images(embeddings, bank, self._grid_hw, self._preprocessing.input_size).scores

    def _bank(self, embeddings: NDArray[np.float32]) -> Bank:
        rows = embeddings.reshape(-1, embeddings.shape[-1])
        picks = greedy_coreset(project(rows, self._seed), max(round(len(rows) * _BANK_SHARE), 1)).picks
        unnamed = np.zeros(len(picks), np.int32)
        return Bank.build(rows[picks], RowSources((), unnamed, unnamed, unnamed))

    def _embed(self, runtime: Runtime, pictures: Pictures) -> NDArray[np.float32]:
        parts = [pictures[start : start + _BATCH] for start in range(0, len(pictures), _BATCH)]
        return np.concatenate([runtime.infer(network_input(part, self._preprocessing)) for part in parts])
