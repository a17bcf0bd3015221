"""The scorer of reconstruction methods: residuals as scores."""

import numpy as np
from numpy.typing import NDArray


class Residuals:
    """Takes the cells' scores, and the image score if the network gives one more value.

    Args:
        cells: Number of cells.
    """

    def __init__(self, cells: int) -> None:
        self._cells = cells

    def scores(self, outputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], float | None]:
        """See :class:`pcedge.methods.Scorer`."""
        values = outputs[:, 0]
        own = float(values[self._cells]) if len(values) > self._cells else None
        return values[: self._cells], own
