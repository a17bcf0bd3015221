"""The student's objective: the loss, and the measurements on held-out images."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pcedge.networks.patch_embedding import MeanPooling

# Faults show in directions in which good surfaces hardly vary, and plain squared errors would neglect these:
# errors count by variance to the power of minus this (0 plain, 1 fully whitened).
WHITENING = 0.5
# Weight of the twins' differences: what a small local change does to the descriptors is what gets detected.
TWIN_WEIGHT = 0.5
# Twins may be alike, where a change happens to show nowhere: then nothing is missed, and 0 / 0 is no number.
_TINY = 1e-12

_pool = MeanPooling()


@dataclass(frozen=True)
class HeldOutAgreement:
    """How well the student imitates its teacher on held-out images; 0 is perfectly, 1 not at all.

    Attributes:
        step: Training steps done.
        seconds: Training time so far.
        training_loss: Mean of the loss since the last measurement.
        unexplained: Share of the teacher's variance that the student misses.
        unexplained_whitened: The same with all directions weighted as in the loss.
        twins_unexplained: The same for the differences that small local changes make.
    """

    step: int
    seconds: float
    training_loss: float
    unexplained: float
    unexplained_whitened: float
    twins_unexplained: float

    @classmethod
    def of(cls, values: Mapping[str, float]) -> "HeldOutAgreement":
        """Undo ``asdict``."""
        return cls(**{**values, "step": int(values["step"])})  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Objective:
    """Compares maps of the student, as the ``mean`` embedding pools them, with the teacher's.

    What is trained is what runs: the embedding pools the student's output just so.

    Attributes:
        variance: The teacher's variance in each direction, [dims].
        twins: How many pairs a batch has: its last maps are those of its first ones, locally changed.
    """

    variance: Tensor
    twins: int

    def loss(self, student: Tensor, target: Tensor) -> Tensor:
        """Share of the weighted variance that is missed, of the maps and of the twins' differences."""
        weights = self.variance**-WHITENING
        found = _pool(student.float())
        missed = _weighted(found - target, weights) / (weights * self.variance).sum()
        if not self.twins:
            return missed
        made = _difference(target, self.twins)
        missed_of_twins = _weighted(_difference(found, self.twins) - made, weights)
        return missed + TWIN_WEIGHT * missed_of_twins / _weighted(made, weights).clamp(min=_TINY)

    def shares(self, student: Tensor, target: Tensor) -> tuple[float, float, float]:
        """Shares missed: plain, weighted as in the loss, and of the twins' differences."""
        found = _pool(student.float())
        weights = self.variance**-WHITENING
        made, remade = _difference(target, self.twins), _difference(found, self.twins)
        even = torch.ones_like(weights)
        return (
            float(_weighted(found - target, even) / _weighted(target, even)),
            float(_weighted(found - target, weights) / _weighted(target, weights)),
            float(_weighted(remade - made, weights) / _weighted(made, weights).clamp(min=_TINY)),
        )


def _weighted(errors: Tensor, weights: Tensor) -> Tensor:
    """Mean over all places of the weighted sum of squares."""
    return (errors.square().mean(dim=(0, 2, 3)) * weights).sum()


def _difference(maps: Tensor, twins: int) -> Tensor:
    return maps[-twins:] - maps[:twins]
