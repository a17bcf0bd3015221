"""Random projection (Johnson-Lindenstrauss): approximate distances in fewer dimensions."""

import numpy as np
from numpy.typing import NDArray

PROJECTION_DIMS = 128
_CHUNK_ROWS = 65536


def project(rows: NDArray[np.float32], seed: int, dims: int = PROJECTION_DIMS) -> NDArray[np.float32]:
    """Project rows [n, d] to [n, dims] by a seeded Gaussian matrix.

    Rows with d <= dims come back as they are. Squared distances keep their expectation. The coreset is
    chosen by distances in the projection, as in the reference implementation; the bank keeps the original
    rows.
    """
    if rows.shape[1] <= dims:
        return rows
    matrix = np.random.default_rng(seed).standard_normal((rows.shape[1], dims), dtype=np.float32)
    matrix /= np.float32(np.sqrt(dims))
    projected = np.empty((len(rows), dims), np.float32)
    for start in range(0, len(rows), _CHUNK_ROWS):
        chunk = slice(start, start + _CHUNK_ROWS)
        np.dot(rows[chunk], matrix, out=projected[chunk])
    return projected
