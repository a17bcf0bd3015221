"""Exact nearest-neighbour search: pruned where that is faster, otherwise a plain product."""

import warnings
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .pruned_layout import LEAST_DIMS, layout_bytes

if TYPE_CHECKING:
    from .pruned_search import PrunedSearch

# Smaller banks are searched by the plain product before the pruned search has looked at its leaves.
_LEAST_ROWS = 1024
# Sums of squares of smaller values are finite in float32, for any number of dims that an embedding has.
_LARGEST = 1e16


class FlatIndex(Protocol):
    """The part of ``faiss.IndexFlatL2`` that is used."""

    ntotal: int
    d: int

    def search(self, x: NDArray[np.float32], k: int, /) -> Any:
        """Squared distances and numbers of the k nearest rows."""

    def get_xb(self) -> Any:
        """Return the pointer to the rows."""


class ExactSearch:
    """Searches the rows of a FAISS index, which must not change any more.

    Distances are sums of squared differences, whichever way the row was found: FAISS's own, |q|^2 + |b|^2 -
    2 q.b, lose digits where q and b are close.

    Args:
        index: Holds the rows.
        encoded: For an index whose rows lie on disk: bound them by 8-bit codes in memory, which leaves little
            more than one row a query to be read. The row found is the same.
    """

    def __init__(self, index: FlatIndex, *, encoded: bool = False) -> None:
        self._index = index
        self._encoded = encoded
        self._preparing = Lock()

    def prepare(self) -> None:
        """Arrange the rows now instead of at the first search."""
        self._prepared()

    @property
    def nbytes(self) -> int:
        """Memory in bytes without the rows; arranges them first if necessary."""
        pruned = self._prepared()
        return 0 if pruned is None else pruned.nbytes

    def search(self, embeddings: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Squared distance and number of the nearest row of each embedding [n, dims], C-contiguous.

        An embedding that is not finite has no nearest row: its distance is NaN and its row -1.

        Raises:
            ValueError: The embeddings have another number of dims than the rows.
        """
        if embeddings.ndim != 2 or embeddings.shape[1] != self._index.d:
            raise ValueError(f"embeddings {list(embeddings.shape)} in a bank of {self._index.d} dims")
        # Arrays that may not be written to are a kind of their own to the kernel, and compile it again.
        embeddings = np.require(embeddings, np.float32, ["C", "W"])
        distances = np.full(len(embeddings), np.nan, np.float32)
        rows = np.full(len(embeddings), -1, np.int64)
        left = np.ones(len(embeddings), np.bool_)
        pruned = self._prepared()
        if pruned is not None and _has_finite_squares(embeddings):
            distances, rows, found = pruned.search(embeddings)
            left = ~found
        if left.any():
            distances[left], rows[left] = self._search_plainly(embeddings[left])
        return distances, rows

    def _prepared(self) -> "PrunedSearch | None":
        with self._preparing:
            return self._pruned

    def _search_plainly(
        self, embeddings: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        _, rows = self._index.search(embeddings, 1)
        rows = rows[:, 0]
        with np.errstate(over="ignore", invalid="ignore"):  # the result is then infinite or NaN
            difference = embeddings - self.rows[rows]
            distances: NDArray[np.float32] = np.einsum("nd,nd->n", difference, difference)
        distances[rows < 0] = np.nan
        return distances, rows

    @cached_property
    def rows(self) -> NDArray[np.float32]:
        """The index's own memory, which lives as long as the index does."""
        import faiss

        count, dims = self._index.ntotal, self._index.d
        rows: NDArray[np.float32] = faiss.rev_swig_ptr(self._index.get_xb(), count * dims).reshape(
            count, dims
        )
        return rows

    @cached_property
    def _pruned(self) -> "PrunedSearch | None":
        """Prepared at the first search, which is after the index is complete."""
        if not _prunable(self._index.ntotal, self._index.d) or not _has_finite_squares(self.rows):
            return None
        try:
            from .pruned_search import PrunedSearch

            return PrunedSearch(self.rows, encoded=self._encoded)
        except ImportError as error:
            warnings.warn(f"searching plainly, which is slower: {error}", RuntimeWarning, stacklevel=2)
            return None


def search_bytes(rows: int, dims: int) -> int:
    """Return the peak memory in bytes of a search, without the rows, reached while it is prepared."""
    return layout_bytes(rows, dims) if _prunable(rows, dims) else 0


def _prunable(rows: int, dims: int) -> bool:
    return rows >= _LEAST_ROWS and dims >= LEAST_DIMS


def _has_finite_squares(embeddings: NDArray[np.float32]) -> bool:
    return bool(np.abs(embeddings).max(initial=0.0) < _LARGEST)
