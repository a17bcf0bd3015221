"""The memory bank: the patches that were kept, where each came from, and the search for the nearest."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from pcedge.errors import BundleError, RuntimeUnavailableError

from .search.exact import ExactSearch
from .search.reranked import DEFAULT_CANDIDATES, CandidateIndex, RerankedSearch, RowSearch

if TYPE_CHECKING:
    import faiss

INDEX_FILE = "bank.faiss"
ROWS_FILE = "bank_rows.npz"


@dataclass(frozen=True, eq=False)
class RowSources:
    """Where every bank row came from.

    Attributes:
        images: Training images by number, as paths relative to the dataset.
        image: int32 [rows], the number of the row's image.
        y: int32 [rows], the patch's line in the grid.
        x: int32 [rows], the patch's column in the grid.
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
    """Float32 rows with nearest-neighbour search by squared Euclidean distance, exact unless told otherwise.

    Args:
        index: An ordinary FAISS index that holds the rows.
        sources: Where the rows came from.
        on_disk: Whether the rows stay in their file, and only 8-bit codes of them lie in memory. What is
            found is the same.
    """

    def __init__(self, index: "faiss.IndexFlatL2", sources: RowSources, *, on_disk: bool = False) -> None:
        self._index = index
        self._on_disk = on_disk
        self._exact = ExactSearch(index, encoded=on_disk)
        self._approximate: RerankedSearch | None = None
        self.sources = sources

    @classmethod
    def build(cls, rows: NDArray[np.float32], sources: RowSources) -> "Bank":
        """Make a bank of rows [n, dims], which are copied."""
        import faiss

        index = faiss.IndexFlatL2(rows.shape[1])
        index.add(np.ascontiguousarray(rows, np.float32))
        return cls(index, sources)

    @classmethod
    def open(cls, directory: Path, *, on_disk: bool = False) -> "Bank":
        """Read a bank that ``save`` wrote.

        Args:
            directory: Where it is.
            on_disk: Leave the float32 rows there, mapped; the file may be replaced meanwhile, not rewritten.

        Raises:
            BundleError: A file is missing or is not what it should be.
            RuntimeUnavailableError: The rows are to stay on disk, and this FAISS is too old for that.
        """
        import faiss

        path = directory / INDEX_FILE
        try:
            index = faiss.read_index(str(path), _map_flag() if on_disk else 0)
        except RuntimeError as error:
            raise BundleError(
                f"{path} cannot be read as a FAISS index.", "Fit again, or restore the file."
            ) from error
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
        """The same rows, searched through an approximate index from which so many candidates are compared."""
        bank = Bank(self._index, self.sources, on_disk=self._on_disk)
        bank._approximate = RerankedSearch(index, bank._exact, candidates)
        return bank

    def save(self, directory: Path) -> None:
        """Write ``bank.faiss`` and ``bank_rows.npz`` into a directory."""
        import faiss

        try:
            faiss.write_index(self._index, str(directory / INDEX_FILE))
        except RuntimeError as error:  # FAISS says so in words of its own
            raise OSError(f"writing {INDEX_FILE} failed, perhaps for want of space: {error}") from error
        sources = self.sources
        arrays: dict[str, Any] = {"image": sources.image, "y": sources.y, "x": sources.x}
        np.savez(directory / ROWS_FILE, images=np.array(sources.images, np.str_), **arrays)

    @property
    def rows(self) -> NDArray[np.float32]:
        """A copy of the rows, float32 [rows, dims]."""
        rows: NDArray[np.float32] = self._index.reconstruct_n(0, self._index.ntotal)
        return rows

    def around(self, row: int, count: int) -> NDArray[np.float32]:
        """The rows nearest to a row, that one among them, float32 [count or all there are, dims]."""
        start = self._index.reconstruct(row)[np.newaxis]
        _, (numbers,) = self._index.search(start, min(count, len(self)))
        return np.stack([self._index.reconstruct(int(number)) for number in numbers])

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def dims(self) -> int:
        """Values a row."""
        return int(self._index.d)

    @property
    def approximate(self) -> RerankedSearch | None:
        """The search by an approximate index, where there is one."""
        return self._approximate

    @property
    def _search(self) -> RowSearch:
        return self._approximate or self._exact

    @property
    def nbytes(self) -> int:
        """Memory that rows and search take; the search is prepared for that."""
        return self._search.nbytes + (0 if self._on_disk else 4 * len(self) * self.dims)

    def prepare(self) -> None:
        """Do now what the first search would do: with 15,000 rows of 1,024 it takes a third of a second."""
        self._search.prepare()

    def search(self, embeddings: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the nearest row of each embedding, or after ``searched_by`` one nearly as near.

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
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return RowSources(tuple(stored["images"].tolist()), stored["image"], stored["y"], stored["x"])
    # A TypeError is a lone array, which is no context manager.
    except (OSError, ValueError, KeyError, EOFError, TypeError, BadZipFile) as error:
        raise BundleError(f"{path} cannot be read ({error}).", "Fit again, or restore the file.") from error
