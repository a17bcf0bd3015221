"""A FAISS index named by its factory string, built from a bank's rows: another way to look for candidates."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pcedge.errors import BundleError, OptionError

if TYPE_CHECKING:
    import faiss

_EXAMPLES = "HNSW32, IVF256,Flat, IVF256,SQ8, SQ8, SQfp16, PQ64, IVF256,PQ64"
_BLOCK_ROWS = 4096
_ROUNDING = 1e-5
_TOO_FEW_ROWS = re.compile(r"training points \((\d+)\).* clusters \((\d+)\)")


@dataclass(frozen=True)
class Loss:
    """What an index has lost of its rows.

    Attributes:
        largest: Largest distance of a row from what is stored of it, or a little more.
        longest: Length of the longest row.
    """

    largest: float
    longest: float


class ApproximateIndex:
    """Finds candidates for the nearest rows of queries, in an order that is only nearly right.

    Args:
        index: A trained FAISS index that holds a bank's rows in their order.
        factory: The string that names its kind.
    """

    def __init__(self, index: "faiss.Index", factory: str) -> None:
        self._index = index
        self.factory = factory

    @classmethod
    def build(cls, rows: NDArray[np.float32], factory: str) -> "ApproximateIndex":
        """Train an index on a bank's rows [n, dims] and add them.

        Raises:
            OptionError: The string names nothing that FAISS can build, or the rows are too few to train it.
        """
        import faiss

        try:
            index = faiss.index_factory(rows.shape[1], factory, faiss.METRIC_L2)
            _train_quietly(index)
            index.train(rows)
            index.add(rows)
            index.search(rows[:1], 1)  # some kinds only fail here
        except RuntimeError as error:
            raise _unbuildable(factory, rows.shape, str(error)) from error
        return cls(index, factory)

    @classmethod
    def open(cls, path: Path, factory: str, *, rows: int, dims: int) -> "ApproximateIndex":
        """Read an index that ``save`` wrote for a bank of so many rows.

        Raises:
            BundleError: The file is no index, or one of other rows.
        """
        import faiss

        hint = f"Make it again with: pcedge index {factory} --keep"
        try:
            index = faiss.read_index(str(path))
        except RuntimeError as error:
            raise BundleError(f"{path} cannot be read as a FAISS index.", hint) from error
        if (index.ntotal, index.d) != (rows, dims):
            raise BundleError(
                f"{path} has {index.ntotal} rows of {index.d}, its bank {rows} of {dims}.", hint
            )
        return cls(index, factory)

    def save(self, path: Path) -> None:
        """Write the index, as ``faiss.read_index`` reads it."""
        import faiss

        try:
            faiss.write_index(self._index, str(path))
        except RuntimeError as error:  # FAISS says so in words of its own
            raise OSError(f"writing {path.name} failed, perhaps for want of space: {error}") from error

    def tune(self, parameters: str) -> None:
        """Set search parameters, ``nprobe=16`` or ``efSearch=64``, several with commas; empty sets none.

        Raises:
            OptionError: This kind of index has no such parameter, or the value is no number.
        """
        import faiss

        if not parameters:
            return
        try:
            space: Any = faiss.ParameterSpace()
            space.set_index_parameters(self._index, parameters)
        except RuntimeError as error:
            raise OptionError(
                f"The index {self.factory!r} does not take the search parameters {parameters!r}.",
                "Lists (IVF) take nprobe=16, graphs (HNSW) efSearch=64, flat and quantised ones none.",
            ) from error

    def candidates(
        self, queries: NDArray[np.float32], count: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Rows that may be nearest: distances by the index's own measure, and numbers, both [n, count].

        Ascending; where an index finds fewer, the numbers that are missing are -1.
        """
        distances, numbers = self._index.search(queries, count)
        return distances, numbers

    def loss(self, rows: NDArray[np.float32]) -> Loss | None:
        """Compare what is stored with the rows it was built from.

        None for an index that does not look at every row, or whose distances are not those to what it stores:
        nothing can be proved of the rows that it does not name.
        """
        import faiss

        if not isinstance(self._index, faiss.IndexScalarQuantizer | faiss.IndexPQ):
            return None
        largest = longest = 0.0
        for start in range(0, len(rows), _BLOCK_ROWS):
            block = rows[start : start + _BLOCK_ROWS]
            missing = block - self._index.reconstruct_n(start, len(block))
            largest = max(largest, float(np.linalg.norm(missing, axis=1).max()))
            longest = max(longest, float(np.linalg.norm(block, axis=1).max()))
        return Loss(largest * (1 + _ROUNDING), longest)

    @cached_property
    def nbytes(self) -> int:
        """Size as a file, which is that in memory but for a few kilobytes."""
        import faiss

        return int(faiss.serialize_index(self._index).nbytes)


def default_parameters(factory: str) -> str:
    """Search parameters where none are given: FAISS's own, one list of IVF, finds too few of the nearest."""
    if "IVF" in factory:
        return "nprobe=16"
    return "efSearch=64" if "HNSW" in factory else ""


def _train_quietly(index: Any) -> None:
    """Keep FAISS from printing a line for every quantiser that has few rows: recall is measured instead."""
    import faiss

    ivf: Any = faiss.try_extract_index_ivf(index)
    for part in (index, ivf):
        for clustered in (part, getattr(part, "pq", None)):
            if (settings := getattr(clustered, "cp", None)) is not None:
                settings.min_points_per_centroid = 1


def _unbuildable(factory: str, shape: tuple[int, ...], reason: str) -> OptionError:
    rows, dims = shape
    if few := _TOO_FEW_ROWS.search(reason):
        return OptionError(
            f"The index {factory!r} needs at least {few[2]} rows to be trained, the bank has {rows}.",
            "Choose one with fewer lists or centroids, IVF16,Flat, or HNSW32, which needs no training.",
        )
    said = reason.rsplit(": ", 1)[-1].strip()
    return OptionError(
        f"FAISS cannot build an index {factory!r} of {rows} rows of {dims} values ({said}).",
        f"Give a FAISS factory string: {_EXAMPLES}; or int8, pcedge's own.",
    )
