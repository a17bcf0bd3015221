"""Memory bank: patch embeddings, their source images, files, and nearest-neighbour search."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pcedge.errors import BundleError, RuntimeUnavailableError

from .faiss_file import FLAT, read_faiss
from .search.exact import ExactSearch
from .search.reranked import DEFAULT_CANDIDATES, CandidateIndex, RerankedSearch, RowSearch
from .stored_arrays import WHOLE, open_stored

if TYPE_CHECKING:
    import faiss

INDEX_FILE = "bank.faiss"
ROWS_FILE = "bank_rows.npz"
_LARGEST_GRID = 100_000


@dataclass(frozen=True, eq=False)
class RowSources:
    """Source of every bank row: training image and position.

    Attributes:
        images: Training images, as paths relative to the dataset.
        image: int32 [rows], index of the image of each row.
        y: int32 [rows], row of the patch in the grid.
        x: int32 [rows], column of the patch in the grid.
    """

    images: tuple[str, ...]
    image: NDArray[np.int32]
    y: NDArray[np.int32]
    x: NDArray[np.int32]

    @classmethod
    def of_patches(
        cls, images: tuple[str, ...], patches: NDArray[np.int64], grid_hw: tuple[int, int]
    ) -> "RowSources":
        """Number the patches of all images in row-major order, and look up the given ones."""
        image, place = np.divmod(patches, grid_hw[0] * grid_hw[1])
        y, x = np.divmod(place, grid_hw[1])
        return cls(images, image.astype(np.int32), y.astype(np.int32), x.astype(np.int32))


class Bank:
    """Float32 rows with nearest-neighbour search by squared Euclidean distance, exact by default.

    Args:
        index: A flat FAISS index with the rows.
        sources: Sources of the rows.
        on_disk: Whether the rows stay in their file, with only 8-bit codes in memory. The results are the
            same.
    """

    def __init__(self, index: "faiss.IndexFlatL2", sources: RowSources, *, on_disk: bool = False) -> None:
        self._index = index
        self._on_disk = on_disk
        self._exact = ExactSearch(index, encoded=on_disk)
        self._approximate: RerankedSearch | None = None
        self.sources = sources

    @classmethod
    def build(cls, rows: NDArray[np.float32], sources: RowSources) -> "Bank":
        """Create a bank from rows [n, dims], which are copied."""
        import faiss

        index = faiss.IndexFlatL2(rows.shape[1])
        index.add(np.ascontiguousarray(rows, np.float32))
        return cls(index, sources)

    @classmethod
    def open(cls, directory: Path, *, on_disk: bool = False) -> "Bank":
        """Read a bank that ``save`` wrote.

        Args:
            directory: Directory of the bank.
            on_disk: Memory-map the float32 rows; the file may be replaced meanwhile, but not overwritten.

        Raises:
            BundleError: A file is missing or invalid.
            RuntimeUnavailableError: ``on_disk`` is set, and this FAISS is too old for it.
        """
        import faiss

        path = directory / INDEX_FILE
        flags = _map_flag() if on_disk else 0
        index = read_faiss(path, frozenset({FLAT}), "Fit again, or restore the file.", flags=flags)
        if not isinstance(index, faiss.IndexFlatL2):
            raise BundleError(
                f"{path} holds a FAISS {type(index).__name__}, not the IndexFlatL2 that a bank is.",
                "Fit again, or restore the file.",
            )
        sources = _read_sources(directory / ROWS_FILE)
        if len(sources.image) != index.ntotal:
            raise BundleError(
                f"{path} has {index.ntotal} rows, but {ROWS_FILE} describes {len(sources.image)}.",
                "The two files do not belong together: fit again, or restore them.",
            )
        return cls(index, sources, on_disk=on_disk)

    def searched_by(self, index: CandidateIndex, candidates: int = DEFAULT_CANDIDATES) -> "Bank":
        """Return a bank with the same rows that compares candidates from an approximate index."""
        bank = Bank(self._index, self.sources, on_disk=self._on_disk)
        bank._approximate = RerankedSearch(index, bank._exact, candidates)
        return bank

    def save(self, directory: Path) -> None:
        """Write ``bank.faiss`` and ``bank_rows.npz`` into a directory."""
        import faiss

        try:
            faiss.write_index(self._index, str(directory / INDEX_FILE))
        except RuntimeError as error:  # FAISS raises no OSError
            raise OSError(
                f"writing {INDEX_FILE} failed, possibly because the disk is full: {error}"
            ) from error
        sources = self.sources
        arrays: dict[str, Any] = {"image": sources.image, "y": sources.y, "x": sources.x}
        np.savez(directory / ROWS_FILE, images=np.array(sources.images, np.str_), **arrays)

    @property
    def rows(self) -> NDArray[np.float32]:
        """A copy of the rows, float32 [rows, dims]."""
        rows: NDArray[np.float32] = self._index.reconstruct_n(0, self._index.ntotal)
        return rows

    def around(self, row: int, count: int) -> NDArray[np.float32]:
        """Return the rows nearest to a row, itself included, float32 [at most count, dims]."""
        start = self._index.reconstruct(row)[np.newaxis]
        _, (numbers,) = self._index.search(start, min(count, len(self)))
        return np.stack([self._index.reconstruct(int(number)) for number in numbers])

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def dims(self) -> int:
        """Values per row."""
        return int(self._index.d)

    @property
    def approximate(self) -> RerankedSearch | None:
        """The approximate search; None if the search is exact."""
        return self._approximate

    @property
    def _search(self) -> RowSearch:
        return self._approximate or self._exact

    @property
    def nbytes(self) -> int:
        """Memory of rows and search in bytes; prepares the search."""
        return self._search.nbytes + (0 if self._on_disk else 4 * len(self) * self.dims)

    def prepare(self) -> None:
        """Prepare the search, otherwise done at the first one (a third of a second for 15,000 x 1,024)."""
        self._search.prepare()

    def search(self, embeddings: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the nearest row of each embedding; approximately after ``searched_by``.

        Args:
            embeddings: float32 [n, dims].

        Returns:
            Squared distances, float32 [n], and row numbers, int64 [n]. An embedding that is not finite has no
            nearest row: its distance is NaN and its row -1.
        """
        return self._search.search(embeddings)


def _map_flag() -> int:
    import faiss

    flag: int | None = getattr(faiss, "IO_FLAG_MMAP_IFC", None)
    if flag is None:
        raise RuntimeUnavailableError(
            f"Leaving a bank's rows on disk needs FAISS 1.11 or newer; here is {faiss.__version__}.",
            "Update it with: pip install --upgrade faiss-cpu, or use exact search: --index exact",
        )
    return flag


def _read_sources(path: Path) -> RowSources:
    with open_stored(path, "Fit again, or restore the file.") as stored:
        images = stored.texts("images", "images")
        image = stored.array("image", WHOLE, "rows", low=0, high=len(images) - 1)
        y, x = (stored.array(name, WHOLE, "rows", low=0, high=_LARGEST_GRID) for name in ("y", "x"))
        return RowSources(tuple(images), *(values.astype(np.int32) for values in (image, y, x)))
