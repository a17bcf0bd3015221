"""Learning PaDiM's Gaussians from a folder of images, within bounded memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pcedge.building import embed_with, open_cache
from pcedge.calibration import FOLDS, split_into_folds
from pcedge.errors import OptionError
from pcedge.features import BATCH
from pcedge.learning import check_enough, without_words
from pcedge.memory import DEFAULT_SHARE, GIGA, available_bytes
from pcedge.network import Network
from pcedge.progress import Progress
from pcedge.scoring import anomaly_map
from pcedge.stopwatch import Stopwatch

from ..method import FitTask
from .gaussians import blocks, gaussians_of

GAUSSIANS_FILE = "gaussians.npz"
WHITENING_FILE = "whitening.npy"
# Images whose features are in memory at once; full batches.
_CHUNK = 4 * BATCH
# Work on a block of positions, on a chunk of images, and the network's own buffers.
_FIXED = 600_000_000


@dataclass(frozen=True, eq=False)
class Fitted:
    """What was learned, beside the files.

    Attributes:
        used: The images.
        skipped: Path to reason of the others.
        scores: float32 [images], image scores by Gaussians made without the image's fold.
        folds: How many folds there were.
        cached: How many images' features came from the cache.
        cache_problem: Why the cache could not be used to the end; empty otherwise.
    """

    used: tuple[Path, ...]
    skipped: dict[Path, str]
    scores: NDArray[np.float32]
    folds: int
    cached: int
    cache_problem: str


def check_memory(positions: int, dims: int, memory_gb: float | None) -> None:
    """Check that the matrices of all positions fit into memory, as they must to be used.

    Raises:
        OptionError: They do not; the text says how many dims would.
    """
    budget = available_bytes() * DEFAULT_SHARE if memory_gb is None else memory_gb * GIGA
    if _FIXED + _matrix_bytes(positions, dims) <= budget:
        return
    fitting = int(max(budget - _FIXED, 0) / (4 * positions)) ** 0.5
    raise OptionError(
        f"PaDiM with {dims} dims at {positions:,} positions needs "
        f"{(_FIXED + _matrix_bytes(positions, dims)) / GIGA:.2f} GB of memory, of which its matrices, "
        f"{_matrix_bytes(positions, dims) / GIGA:.2f} GB, stay in the bundle; {budget / GIGA:.2f} GB may be "
        "used.",
        f"Keep fewer: --set dims={int(fitting)} fits." if fitting >= 1 else "Give it more --memory-gb.",
    )


def learn_gaussians(
    task: FitTask,
    network: Network,
    chosen: NDArray[np.int64],
    staging: Path,
    watch: Stopwatch,
    progress: Progress,
) -> Fitted:
    """Learn the Gaussians and write them into a directory.

    The features wait in a file without a name there, so that memory does not grow with the images; the
    positions are then worked through block by block.

    Args:
        task: The images.
        network: Gives features [images, positions, dims].
        chosen: The dims that were chosen, for the record.
        staging: Where the files go.
        watch: Takes the time.
        progress: Told of the stages ``embed`` and ``gaussians``.

    Raises:
        PcedgeError: The images are too few, or do not support what was asked for.
    """
    positions, dims = network.shape
    with TemporaryFile(dir=staging) as file:
        with watch.stage("embed"):
            used, skipped, cached, problem = _embed(task, network, file, progress)
        check_enough(len(used), len(task.paths), task.at_least, skipped)
        task.options.rates.check(len(used), called="good images" + without_words(skipped))
        features = np.memmap(file, np.float32, "r", shape=(len(used), positions, dims))
        folds = list(split_into_folds(len(used), FOLDS, task.options.seed))
        means = np.empty((positions, dims), np.float32)
        distances = np.empty((len(used), positions), np.float32)
        with (
            watch.stage("gaussians"),
            _npy_rows(staging / WHITENING_FILE, (positions, dims, dims)) as matrices,
        ):
            for block in blocks(positions, dims, len(folds)):
                mean, whitening, apart = gaussians_of(features[:, block], folds)
                means[block], distances[:, block] = mean, apart
                matrices.write(whitening.astype(np.float32).tobytes())
                progress("gaussians", block.stop, positions)
        del features
    np.savez(staging / GAUSSIANS_FILE, mean=means, dims=chosen)
    size = network.preprocessing.input_size
    peaks = [anomaly_map(one, network.embedding.grid_hw, size).max() for one in distances]
    return Fitted(tuple(used), skipped, np.array(peaks, np.float32), len(folds), cached, problem)


def _embed(
    task: FitTask, network: Network, file: IO[bytes], progress: Progress
) -> tuple[list[Path], dict[Path, str], int, str]:
    cache = open_cache(network, task.options)
    embed = embed_with(network, cache)
    used: list[Path] = []
    skipped: dict[Path, str] = {}
    cached = 0
    for start in range(0, len(task.paths), _CHUNK):

        def report(stage: str, done: int, _: int, start: int = start) -> None:
            progress(stage, start + done, len(task.paths))

        features = embed(task.paths[start : start + _CHUNK], report)
        file.write(features.embeddings.tobytes())
        used += features.paths
        skipped |= features.skipped
        cached += features.cached
    file.flush()
    return used, skipped, cached, cache.problem


@contextmanager
def _npy_rows(path: Path, shape: tuple[int, ...]) -> Iterator[IO[bytes]]:
    """A float32 ``.npy`` file to write row by row: a full disk is an error then, not a broken mapping."""
    header: Any = {"descr": "<f4", "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        yield file


def _matrix_bytes(positions: int, dims: int) -> int:
    return 4 * positions * dims * dims
