"""Approximate FAISS index of a bank, given by a factory string."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pcedge.errors import BundleError, OptionError

from ..faiss_file import KINDS, read_faiss

if TYPE_CHECKING:
    import faiss

_EXAMPLES = "HNSW32, IVF256,Flat, IVF256,SQ8, SQ8, SQfp16, PQ64, IVF256,PQ64"
_BLOCK_ROWS = 4096
_ROUNDING = 1e-5
_TOO_FEW_ROWS = re.compile(r"training points \((\d+)\).* clusters \((\d+)\)")


@dataclass(frozen=True)
class Loss:
    """Quantisation error of an index.

    Attributes:
        largest: Upper bound of the distance between a row and its stored version.
        longest: Length of the longest row.
    """

    largest: float
    longest: float


class ApproximateIndex:
    """Finds candidates for the nearest rows of queries, by approximate distances.

    Args:
        index: A trained FAISS index with the rows of a bank in their order.
        factory: Its factory string.
    """

    def __init__(self, index: "faiss.Index", factory: str) -> None:
        self._index = index
        self.factory = factory

    @classmethod
    def build(cls, rows: NDArray[np.float32], factory: str) -> "ApproximateIndex":
        """Train an index on the rows of a bank [n, dims] and add them.

        Raises:
            OptionError: FAISS cannot build this factory string, or there are too few rows to train it.
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
        """Read an index that ``save`` wrote for a bank of this size.

        Raises:
            BundleError: The file is not an index, or has another number of rows or dims.
        """
        hint = f"Build it again with: pcedge index {factory} --keep"
        index = read_faiss(path, KINDS, hint, rows=rows)
        if (index.ntotal, index.d) != (rows, dims):
            raise BundleError(
                f"{path} has {index.ntotal} rows of {index.d}, its bank {rows} of {dims}.", hint
            )
        return cls(index, factory)

    def save(self, path: Path) -> None:
        """Write the index in the format of ``faiss.read_index``."""
        import faiss

        try:
            faiss.write_index(self._index, str(path))
        except RuntimeError as error:  # FAISS raises no OSError
            raise OSError(
                f"writing {path.name} failed, possibly because the disk is full: {error}"
            ) from error

    def tune(self, parameters: str) -> None:
        """Set search parameters, ``nprobe=16`` or ``efSearch=64``, several with commas; empty for none.

        Raises:
            OptionError: This kind of index has no such parameter, or the value is not a number.
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
        """Return candidates: approximate distances and row numbers, both [n, count].

        In ascending order; -1 for missing candidates.
        """
        distances, numbers = self._index.search(queries, count)
        return distances, numbers

    def loss(self, rows: NDArray[np.float32]) -> Loss | None:
        """Compute the quantisation error of the stored rows.

        None for an index that does not compare every row, or whose distances are not those to the stored
        rows: then there is no bound for the rows that are not candidates.
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
        """Size of the file, which is the size in memory except for a few kilobytes."""
        import faiss

        return int(faiss.serialize_index(self._index).nbytes)


def default_parameters(factory: str) -> str:
    """Return default search parameters: the default of FAISS for IVF, one list, has a low recall."""
    if "IVF" in factory:
        return "nprobe=16"
    return "efSearch=64" if "HNSW" in factory else ""


def _train_quietly(index: Any) -> None:
    """Suppress the warnings of FAISS about quantisers with few training rows; recall is measured instead."""
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
