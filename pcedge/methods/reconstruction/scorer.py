"""The scores of a method that draws images anew: what it could not draw."""

import numpy as np
from numpy.typing import NDArray


class Residuals:
    """Takes the cells' scores, and the image's where the network gives one more value.

    Args:
        cells: How many cells there are.
    """

    def __init__(self, cells: int) -> None:
        self._cells = cells

    def scores(self, outputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], float | None]:
        """See :class:`pcedge.methods.Scorer`."""
        values = outputs[:, 0]
        own = float(values[self._cells]) if len(values) > self._cells else None
        return values[: self._cells], own
