"""Bank rows quantised to 8 bits per value, each with its quantisation error.

Because that distance is known, a code bounds a row: |q - b| >= |q - c| - |b - c|. The bound leaves little
more than one row a query to be compared in float32, so that the float32 rows need not lie in memory.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LARGEST_CODE = 127
_BLOCK_ROWS = 4096
# Of the float32 arithmetic that finds an error; it must not be understated.
_ROUNDING = np.float32(1e-5)


@dataclass(frozen=True, eq=False)
class Codes:
    """Centred rows as 8-bit numbers times a scale for every dimension.

    Attributes:
        scales: float32 [dims].
        values: int8 [n, dims].
        squared_lengths: float32 [n], of what the codes stand for.
        errors: float32 [n], length of the difference from the centred row, or a little more.
    """

    scales: NDArray[np.float32]
    values: NDArray[np.int8]
    squared_lengths: NDArray[np.float32]
    errors: NDArray[np.float32]

    @classmethod
    def none(cls, dims: int) -> "Codes":
        """No rows."""
        return cls(
            np.ones(dims, np.float32),
            np.empty((0, dims), np.int8),
            np.empty(0, np.float32),
            np.empty(0, np.float32),
        )

    @classmethod
    def of(cls, rows: NDArray[np.float32], center: NDArray[np.float32], order: NDArray[np.int64]) -> "Codes":
        """Encode rows[order], less the centre, block by block: no centred copy of them all is made."""
        largest = np.maximum(rows.max(axis=0) - center, center - rows.min(axis=0))
        scales = np.maximum(largest / _LARGEST_CODE, np.finfo(np.float32).tiny).astype(np.float32)
        codes = cls(
            scales,
            np.empty((len(order), rows.shape[1]), np.int8),
            np.empty(len(order), np.float32),
            np.empty(len(order), np.float32),
        )
        for start in range(0, len(order), _BLOCK_ROWS):
            part = slice(start, start + _BLOCK_ROWS)
            centered = rows[order[part]] - center
            values = np.clip(np.rint(centered / scales), -_LARGEST_CODE, _LARGEST_CODE)
            stood_for = values * scales
            missing = centered - stood_for
            codes.values[part] = values
            codes.squared_lengths[part] = np.einsum("nd,nd->n", stood_for, stood_for)
            codes.errors[part] = np.sqrt(np.einsum("nd,nd->n", missing, missing)) * (1 + _ROUNDING)
        return codes

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return sum(array.nbytes for array in (self.scales, self.values, self.squared_lengths, self.errors))
