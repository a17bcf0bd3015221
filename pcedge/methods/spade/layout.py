"""The layout of an image's features in one row: a global descriptor, then the pyramid's layers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class FeatureLayout:
    """The parts of a row.

    Attributes:
        descriptor: Number of values of the global descriptor.
        layers: Channels, height and width of each layer of the pyramid, the finest grid first.
    """

    descriptor: int
    layers: tuple[tuple[int, int, int], ...]

    @property
    def length(self) -> int:
        """Number of values in a row."""
        return self.descriptor + sum(channels * height * width for channels, height, width in self.layers)

    def descriptors_of(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Descriptors [n, descriptor] of rows [n, length]."""
        return rows[:, : self.descriptor]

    def layers_of(self, row: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Every layer's features [cells, channels] in a row [length], cells in row-major order."""
        found, start = [], self.descriptor
        for channels, height, width in self.layers:
            end = start + channels * height * width
            found.append(row[start:end].reshape(height * width, channels))
            start = end
        return found

    def parents(self) -> list[NDArray[np.int64]]:
        """For every layer except the coarsest, the next layer's cell that contains each of its cells."""
        return [
            _parents(fine[1:], coarse[1:])
            for fine, coarse in zip(self.layers[:-1], self.layers[1:], strict=True)
        ]


def _parents(fine_hw: tuple[int, int], coarse_hw: tuple[int, int]) -> NDArray[np.int64]:
    rows = np.arange(fine_hw[0]) * coarse_hw[0] // fine_hw[0]
    columns = np.arange(fine_hw[1]) * coarse_hw[1] // fine_hw[1]
    return (rows[:, np.newaxis] * coarse_hw[1] + columns).reshape(-1)
