"""Fits PaDiM's Gaussians with bounded memory."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import FLOAT, WHOLE
from pcedge.core.npz import open_arrays
from pcedge.core.progress import Progress
from pcedge.core.scoring import anomaly_map
from pcedge.core.stage_timer import StageTimer
from pcedge.errors import OptionError
from pcedge.fitting.memory import DEFAULT_SHARE, GIGA, available_bytes
from pcedge.methods.common.bundle import BaselineBundle
from pcedge.methods.common.embedding_images import EmbeddedImages, embed_in_chunks
from pcedge.methods.common.fitter import FitTask
from pcedge.methods.common.row_file import RowFile
from pcedge.networks.embedding_network import EmbeddingNetwork
from pcedge.thresholds.cross_validation import FOLDS, split_into_folds

from .gaussians import blocks, gaussians_of

GAUSSIANS_FILE = "gaussians.npz"
WHITENING_FILE = "whitening.npy"
# Bytes for a block of positions, a chunk of images, and the network's buffers.
_FIXED = 600_000_000
_MOST_DIMS = 1_000_000


@dataclass(frozen=True, eq=False)
class Fitted:
    """The result of the fit, besides the files.

    Attributes:
        seen: The embedded images.
        scores: float32 [images used], image scores from Gaussians without the image's fold.
        folds: Number of folds.
    """

    seen: EmbeddedImages
    scores: NDArray[np.float32]
    folds: int


def check_memory(positions: int, dims: int, memory_gb: float | None) -> None:
    """Check that the matrices of all positions fit into memory.

    Raises:
        OptionError: They do not fit; the message says how many dims would.
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
    network: EmbeddingNetwork,
    chosen: NDArray[np.int64],
    staging: Path,
    watch: StageTimer,
    progress: Progress,
) -> Fitted:
    """Fit the Gaussians and write them to a directory.

    The features are stored in an unnamed temporary file there, so that memory does not grow with the number
    of images; the positions are then processed block by block.

    Args:
        task: The images.
        network: Network with features [images, positions, dims].
        chosen: Indices of the selected dims, stored with the result.
        staging: Directory for the files.
        watch: Timer of the stages.
        progress: Progress callback; stages ``embed`` and ``gaussians``.

    Raises:
        PcedgeError: There are too few images, or too few for the requested rates.
    """
    positions, dims = network.shape
    with TemporaryFile(dir=staging) as file:
        with watch.stage("embed"):
            seen = embed_in_chunks(task, network, lambda rows: _write(file, rows), progress)
        images = len(seen.used)
        file.flush()
        features = np.memmap(file, np.float32, "r", shape=(images, positions, dims))
        folds = list(split_into_folds(images, FOLDS, task.options.seed))
        means = np.empty((positions, dims), np.float32)
        distances = np.empty((images, positions), np.float32)
        with watch.stage("gaussians"), RowFile(staging / WHITENING_FILE, (dims, dims)) as matrices:
            for block in blocks(positions, images, dims, len(folds)):
                mean, whitening, apart = gaussians_of(features[:, block], folds)
                means[block], distances[:, block] = mean, apart
                matrices.append(whitening.astype(np.float32))
                progress("gaussians", block.stop, positions)
        del features
    np.savez(staging / GAUSSIANS_FILE, mean=means, dims=chosen)
    size = network.preprocessing.input_size
    peaks = [anomaly_map(one, network.embedding.grid_hw, size).max() for one in distances]
    return Fitted(seen, np.array(peaks, np.float32), len(folds))


def _write(file: IO[bytes], rows: NDArray[np.float32]) -> None:
    file.write(np.ascontiguousarray(rows).data)


def _matrix_bytes(positions: int, dims: int) -> int:
    return 4 * positions * dims * dims


def read_gaussians(bundle: BaselineBundle) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Means, float32 [positions, dims], and the indices of the selected dims, int64 [dims]."""
    with open_arrays(bundle.file(GAUSSIANS_FILE)) as stored:
        mean = stored.array("mean", FLOAT, "positions", "dims")
        return mean, stored.array("dims", WHOLE, "dims", low=0, high=_MOST_DIMS)
