"""Approximate nearest-neighbour search with exact reranking of the candidates."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..approximate.faiss_index import Loss
from .exact import ExactSearch

DEFAULT_CANDIDATES = 4
# Of distances that an index finds from products; relative to the square of the lengths in them.
_ROUNDING = 1e-5


class RowSearch(Protocol):
    """Finds the nearest row of each query, or one nearly as near."""

    @property
    def nbytes(self) -> int:
        """Memory in bytes without the rows."""

    def prepare(self) -> None:
        """Prepare the search, otherwise done at the first one."""

    def search(self, embeddings: NDArray[np.float32], /) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Squared distances, float32 [n], and row numbers, int64 [n]."""


class CandidateIndex(Protocol):
    """An index that returns candidates, such as ``ApproximateIndex`` and ``MilvusIndex``."""

    @property
    def nbytes(self) -> int:
        """Memory in bytes without the rows."""

    def candidates(
        self, queries: NDArray[np.float32], count: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return approximate distances, ascending, and row numbers, both [n, count]; -1 for missing ones."""


class RerankedSearch:
    """Searches through an approximate index and computes the candidates' distances from the float32 rows.

    A distance is always that of the row named. So it is never below that of the nearest row: a score can only
    be higher than by exact search.

    Args:
        index: Names candidates.
        exact: Holds the rows, of which only candidates are read, so that they may lie on disk. Asked for the
            queries to which the index finds no candidate.
        candidates: How many to compare, at least 1.
    """

    def __init__(
        self, index: CandidateIndex, exact: ExactSearch, candidates: int = DEFAULT_CANDIDATES
    ) -> None:
        self._index, self._exact, self._rows = index, exact, exact.rows
        self._candidates = min(candidates, len(exact.rows))

    @property
    def nbytes(self) -> int:
        """Memory in bytes without the rows."""
        return self._index.nbytes

    def prepare(self) -> None:
        """Do nothing, since an open index is ready."""

    def search(self, embeddings: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Squared distance and number of the nearest candidate of each embedding [n, dims].

        An embedding that is not finite has no nearest row: its distance is NaN and its row -1.

        Raises:
            ValueError: The embeddings have another number of dims than the rows.
        """
        distances, rows, _ = self._search(embeddings)
        return distances, rows

    def search_proved(
        self, embeddings: NDArray[np.float32], loss: Loss
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]:
        """Search, and say for which embeddings it is certain that no row is nearer than the one found.

        A row that is no candidate is, by the index's measure, at least as far as the last candidate; in truth
        it may be nearer by what the index has lost of it.

        Args:
            embeddings: float32 [n, dims].
            loss: Of this index.
        """
        distances, rows, last = self._search(embeddings)
        margins = _ROUNDING * (np.linalg.norm(embeddings, axis=1) + loss.longest) ** 2
        others = np.sqrt(np.maximum(last - margins, 0.0)) - loss.largest
        compared_all = self._candidates == len(self._rows)
        return distances, rows, compared_all | (np.sqrt(distances) <= others)

    def _search(
        self, embeddings: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
        """What ``search`` does, and the last candidate's squared distance by the index's own measure."""
        if embeddings.ndim != 2 or embeddings.shape[1] != self._rows.shape[1]:
            raise ValueError(f"embeddings {list(embeddings.shape)} in a bank of {self._rows.shape[1]} dims")
        embeddings = np.ascontiguousarray(embeddings, np.float32)
        approximate, numbers = self._index.candidates(embeddings, self._candidates)
        distances, rows = self._nearest_of(embeddings, numbers)
        none = rows < 0
        if none.any():
            distances[none], rows[none] = self._exact.search(embeddings[none])
        return distances, rows, approximate[:, -1]

    def _nearest_of(
        self, embeddings: NDArray[np.float32], numbers: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Of candidates [n, count], the nearest; -1 where there is none."""
        nearest = np.full(len(embeddings), np.inf, np.float32)
        rows = np.full(len(embeddings), -1, np.int64)
        for candidate in numbers.T:
            with np.errstate(over="ignore", invalid="ignore"):  # no candidate then, see below
                difference = embeddings - self._rows[candidate]
                distances = np.einsum("nd,nd->n", difference, difference)
            closer = (candidate >= 0) & (distances < nearest)
            nearest[closer], rows[closer] = distances[closer], candidate[closer]
        return nearest, rows
