"""What pcedge's coreset and patch embedding are compared with, each written here from its description.

Both samplers take one pass over all rows a pick, so a pick costs the same throughout and a long run may be
extrapolated from its first picks.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

# Fewer picks, or less time, would not tell what one costs.
EXTRAPOLATE_FROM_PICKS, EXTRAPOLATE_FROM_S = 200, 4.0
_RANDOM_STARTS = 10
# |x|^2 - 2 x.p + |p|^2 in float32 was found wrong by up to 3 epsilon times (|x| + |p|)^2 (16 million pairs of
# real rows, 128 dims, OpenBLAS); the difference of two of them by twice that.
_ROUNDING = 6 * float(np.finfo(np.float32).eps)


class Sampler(Protocol):
    """A coreset sampler that can be stopped after any pick."""

    def pick(self) -> int:
        """Choose one more row and return its index."""
        ...


AnySampler = TypeVar("AnySampler", bound=Sampler)


class PlainGreedy:
    """Greedy minimax facility location as in the paper's Algorithm 1, as fast as NumPy does it plainly.

    Every row's squared distance to the picks is kept; a pick costs one product of all rows with the new
    pick (|x|^2 - 2 x.p + |p|^2, the rows' norms computed once), one minimum and one maximum. The first pick
    is the row nearest to the mean, as in pcedge.

    Where float32 cannot tell two rows' distances apart, rounding decides which of them is the farthest. To be
    comparable past such a tie, it is broken as ``like`` breaks it; at the first pick of ``like`` that is not
    the farthest row, ties aside, plain greedy goes its own way.

    Args:
        rows: float32 [n, dims].
        like: Another selection's picks, in order.

    Attributes:
        ties: (pick, row of ``like``, row this found) where rounding decided.
        parted: The same of the first pick where it did not.
    """

    def __init__(self, rows: NDArray[np.float32], like: NDArray[np.int64] | None = None) -> None:
        self.ties: list[tuple[int, int, int]] = []
        self.parted: tuple[int, int, int] | None = None
        self._like: list[int] = [] if like is None else like.tolist()
        self._made = 0
        # Distances do not change with the origin; near it they round least.
        self._rows = rows - rows.mean(axis=0, dtype=np.float64).astype(np.float32)
        self._norms = np.einsum("ij,ij->i", self._rows, self._rows)
        self._bounds = np.full(len(rows), np.inf, np.float32)
        self._distances = np.empty_like(self._bounds)
        self._next = int(self._norms.argmin())

    def pick(self) -> int:
        """Choose the row farthest from all picks; a picked row is never picked again."""
        chosen = self._break_tie(self._next)
        np.dot(self._rows, -2.0 * self._rows[chosen], out=self._distances)
        self._distances += self._norms
        self._distances += self._norms[chosen]
        np.minimum(self._bounds, self._distances, out=self._bounds)
        self._bounds[chosen] = -np.inf
        self._next = int(self._bounds.argmax())
        self._made += 1
        return chosen

    def _break_tie(self, found: int) -> int:
        if self.parted is not None or self._made >= len(self._like):
            return found
        other = self._like[self._made]
        if other == found:
            return found
        if not self._tie(found, other):
            self.parted = (self._made, other, found)
            return found
        self.ties.append((self._made, other, found))
        return other

    def _tie(self, found: int, other: int) -> bool:
        if not self._made:
            return bool(self._norms[other] - self._norms[found] <= _ROUNDING * self._norms[other])
        # |x| + |p| for each, the nearest pick being no longer than the row and the way to it together.
        lengths = [2 * self._norms[row] ** 0.5 + max(self._bounds[row], 0.0) ** 0.5 for row in (found, other)]
        return bool(self._bounds[found] - self._bounds[other] <= _ROUNDING * max(lengths) ** 2)


class ReferenceSampler:
    """The reference implementation's approximate greedy sampler, in PyTorch float32.

    It starts from every row's mean distance to ten random rows. A pick is the row with the largest value,
    whose distance to every row then replaces larger values. Distances are Euclidean and made by matrix
    products, squared norms included, anew at every pick.

    Args:
        rows: float32 [n, dims].
        seed: Of the ten rows.
        device: Where it runs, as PyTorch names it.
    """

    def __init__(self, rows: NDArray[np.float32], seed: int = 0, device: str = "cpu") -> None:
        self._rows = torch.from_numpy(rows).to(device)
        starts = np.random.default_rng(seed).choice(len(rows), min(_RANDOM_STARTS, len(rows)), replace=False)
        self._nearest = self._distances(torch.from_numpy(starts)).mean(dim=1, keepdim=True)

    def pick(self) -> int:
        """Choose the row with the largest value."""
        chosen = int(self._nearest.argmax())
        distances = self._distances(torch.tensor([chosen]))
        self._nearest = torch.cat([self._nearest, distances], dim=1).min(dim=1, keepdim=True).values
        return chosen

    def _distances(self, indices: Tensor) -> Tensor:
        """Distances [n, picks] of all rows to some of them."""
        picks = self._rows[indices.to(self._rows.device)]
        squared = _squared_norms(self._rows) + _squared_norms(picks).T - 2 * self._rows.mm(picks.T)
        return squared.clamp(min=0).sqrt()


def _squared_norms(rows: Tensor) -> Tensor:
    return rows.unsqueeze(1).bmm(rows.unsqueeze(2)).reshape(-1, 1)


@dataclass(frozen=True, eq=False)
class Sampled(Generic[AnySampler]):
    """What a sampler chose, and how long all picks take.

    Attributes:
        sampler: The sampler.
        picks: int64, as many as were made.
        seconds: Of all picks that were wanted.
        extrapolated: Whether ``seconds`` stands for more picks than were made.
    """

    sampler: AnySampler
    picks: NDArray[np.int64]
    seconds: float
    extrapolated: bool


def sample(
    start: Callable[[], AnySampler],
    count: int,
    *,
    limit_s: float | None,
    progress: Callable[[int, int], None],
) -> Sampled[AnySampler]:
    """Make ``count`` picks, or only enough to extrapolate from if all would take longer than ``limit_s``.

    Args:
        start: Makes the sampler; what that costs is counted once.
        count: Picks wanted.
        limit_s: None to make all picks whatever they cost.
        progress: Called with (picks so far, picks to be made) now and then.
    """
    began = reported = time.perf_counter()
    sampler = start()
    started = time.perf_counter()
    picks = np.empty(count, np.int64)
    made, seconds = 0, 0.0
    while made < count:
        picks[made] = sampler.pick()
        made += 1
        now = time.perf_counter()
        seconds = (started - began) + (now - started) * count / made
        if limit_s is not None and made >= EXTRAPOLATE_FROM_PICKS:
            if seconds > limit_s and now - started >= min(EXTRAPOLATE_FROM_S, limit_s):
                break
            if now - started >= EXTRAPOLATE_FROM_S:
                limit_s = None  # near enough to its end
        if now - reported > 0.2:
            progress(made, count)
            reported = now
    progress(made, made)
    return Sampled(sampler, picks[:made], seconds, made < count)


def aggregate_as_the_reference(features: Sequence[Tensor], dims: int) -> Tensor:
    """The reference implementation's patch embedding, step by step.

    Unfold the 3x3 neighbourhoods of each layer, resize the patches of the deeper layers to the first one's
    grid, pool each layer's C * 9 values to ``dims``, then the stacked layers to ``dims`` once more.

    Args:
        features: A map [n, channels, h, w] a layer, the finest grid first.
        dims: Values a patch.

    Returns:
        [n, patches, dims], patches in row-major order.
    """
    n, _, height, width = features[0].shape
    layers = [functional.adaptive_avg_pool1d(_patches(maps, (height, width)), dims) for maps in features]
    stacked = torch.cat(layers, dim=1).reshape(n * height * width, 1, -1)
    return functional.adaptive_avg_pool1d(stacked, dims).reshape(n, height * width, dims)


def _patches(features: Tensor, grid_hw: tuple[int, int]) -> Tensor:
    """Every patch of the grid as one row [n * patches, 1, channels * 9]."""
    n, channels, h, w = features.shape
    unfolded = functional.unfold(features, kernel_size=3, padding=1).reshape(n, channels * 9, h, w)
    if (h, w) != grid_hw:
        unfolded = functional.interpolate(unfolded, size=grid_hw, mode="bilinear", align_corners=False)
    return unfolded.permute(0, 2, 3, 1).reshape(-1, 1, channels * 9)
