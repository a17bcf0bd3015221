"""Memory planning of a fit: all embeddings at once, or chunks."""

from dataclasses import dataclass

from pcedge.banks import CANDIDATES_PER_ROW, PROJECTION_DIMS, CoresetSize, search_bytes
from pcedge.errors import OptionError

GIGA = 10**9
# Share of the free memory that a fit may use by default.
DEFAULT_SHARE = 0.6
# Minimum number of images per chunk; smaller chunks give poor candidates.
MIN_CHUNK_IMAGES = 16
_FLOAT = 4
# Bytes per row that the selection needs for bounds, indices and counters.
_ROW_OVERHEAD = 40
# Bytes for the allocator's overhead, the network's buffers, and images and cached features read ahead.
_FIXED = 180_000_000


@dataclass(frozen=True)
class MemoryPlan:
    """The memory plan of a fit.

    Attributes:
        budget: Bytes the fit may use beyond the loaded libraries.
        chunk_images: Images whose embeddings are in memory at once; None for all images.
    """

    budget: int
    chunk_images: int | None

    @property
    def exact(self) -> bool:
        """Whether the coreset is the exact one of all patches."""
        return self.chunk_images is None


def available_bytes() -> int:
    """Free memory in bytes."""
    import psutil

    return int(psutil.virtual_memory().available)


def plan_memory(
    images: int, patches: int, dims: int, size: CoresetSize, memory_gb: float | None = None
) -> MemoryPlan:
    """Decide whether all embeddings fit into memory, and the chunk size if they do not.

    Args:
        images: Training images.
        patches: Patches per image.
        dims: Values per patch.
        size: Of the bank.
        memory_gb: Budget in GB (10^9 bytes) beyond the loaded libraries; None for 60 % of the free memory.

    Raises:
        OptionError: The budget is too small; the message names the smallest possible one.
    """
    budget = int(available_bytes() * DEFAULT_SHARE if memory_gb is None else memory_gb * GIGA)
    total = images * patches
    rows = size.rows(total)
    if _exact_bytes(total, dims, rows) <= budget:
        return MemoryPlan(budget, None)
    waiting = _candidates_bytes(total, rows)
    chunk = (budget - _FIXED - waiting) // (patches * _chunk_bytes_per_row(dims))
    smallest = min(
        max(
            _FIXED + waiting + MIN_CHUNK_IMAGES * patches * _chunk_bytes_per_row(dims),
            _staged_end_bytes(total, dims, rows),
        ),
        _exact_bytes(total, dims, rows),
    )
    if budget < smallest:
        raise OptionError(
            f"A fit of {images:,} images with a bank of {rows:,} rows does not fit into "
            f"{budget / GIGA:.2f} GB of memory.",
            f"The smallest that does: --memory-gb {_round_up(smallest)}. A smaller --coreset needs less.",
        )
    return MemoryPlan(budget, int(chunk))


def _projected(dims: int) -> int:
    return min(dims, PROJECTION_DIMS)


def _exact_bytes(total: int, dims: int, rows: int) -> int:
    """Peak bytes: embeddings and their projection, three banks, and the selection or, later, a search."""
    selection = total * (2 * (_projected(dims) + 1) * _FLOAT + _ROW_OVERHEAD)
    embeddings = total * (dims + _projected(dims)) * _FLOAT
    return _FIXED + embeddings + 3 * rows * dims * _FLOAT + max(selection, search_bytes(rows, dims))


def _chunk_bytes_per_row(dims: int) -> int:
    return (dims + 2 * _projected(dims) + 1) * _FLOAT + _ROW_OVERHEAD


def _candidates_bytes(total: int, rows: int) -> int:
    return min(CANDIDATES_PER_ROW * rows, total) * (PROJECTION_DIMS * _FLOAT + 8)


def _staged_end_bytes(total: int, dims: int, rows: int) -> int:
    """Peak bytes at the end: last selection; bank and FAISS's copy; or FAISS's copy and its search."""
    candidates = min(CANDIDATES_PER_ROW * rows, total)
    selection = candidates * (3 * (_projected(dims) + 1) * _FLOAT + _ROW_OVERHEAD)
    bank = rows * dims * _FLOAT
    return _FIXED + max(selection, 2 * bank, bank + search_bytes(rows, dims))


def _round_up(size: int) -> float:
    return -(-size * 100 // GIGA) / 100
