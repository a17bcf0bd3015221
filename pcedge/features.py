"""From image files to patch embeddings: decoding runs ahead of the network, on other threads."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcedge.camera import read_image
from pcedge.errors import DatasetError, ImageError
from pcedge.export import Runtime
from pcedge.preprocessing import Preprocessing
from pcedge.progress import Progress, silent

BATCH = 8
_READ_AHEAD = 3 * BATCH


@dataclass(frozen=True, eq=False)
class Features:
    """Patch embeddings of the images that could be read, and why the others could not.

    Attributes:
        paths: The images, in order.
        embeddings: float32 [images, patches, dims].
        skipped: Path to reason.
    """

    paths: tuple[Path, ...]
    embeddings: NDArray[np.float32]
    skipped: dict[Path, str]


def embed_images(
    paths: Sequence[Path],
    runtime: Runtime,
    preprocessing: Preprocessing,
    shape: tuple[int, int],
    *,
    at_least: int,
    progress: Progress = silent,
) -> Features:
    """Embed images in batches.

    Args:
        paths: Image files.
        runtime: Runs the embedder.
        preprocessing: How a picture becomes the network's input.
        shape: Patches an image and values a patch.
        at_least: How many images must be readable.
        progress: Told of images read, as the stage ``embed``.

    Raises:
        DatasetError: Fewer than ``at_least`` images could be read.
    """
    embeddings = np.empty((len(paths), *shape), np.float32)
    used: list[Path] = []
    skipped: dict[Path, str] = {}
    inputs: list[NDArray[np.float32]] = []
    for done, (path, loaded) in enumerate(_load_ahead(paths, preprocessing), 1):
        if isinstance(loaded, ImageError):
            skipped[path] = loaded.what
        else:
            used.append(path)
            inputs.append(loaded)
        if inputs and (len(inputs) == BATCH or done == len(paths)):
            embeddings[len(used) - len(inputs) : len(used)] = runtime.infer(np.stack(inputs))
            inputs.clear()
        progress("embed", done, len(paths))
    if len(used) < at_least:
        raise DatasetError(
            f"Only {len(used)} of {len(paths)} images could be read; at least {at_least} are needed. "
            f"First problem: {next(iter(skipped.values()))}",
            "Replace the unreadable files.",
        )
    return Features(tuple(used), embeddings[: len(used)], skipped)


def _load_ahead(
    paths: Sequence[Path], preprocessing: Preprocessing
) -> Iterator[tuple[Path, NDArray[np.float32] | ImageError]]:
    """Preprocessed pictures, or what was wrong with them, in order."""

    def load(path: Path) -> NDArray[np.float32] | ImageError:
        try:
            return preprocessing.apply(read_image(path))
        except ImageError as error:
            return error

    remaining = iter(paths)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        waiting = deque((path, pool.submit(load, path)) for path in islice(remaining, _READ_AHEAD))
        while waiting:
            path, future = waiting.popleft()
            waiting.extend((later, pool.submit(load, later)) for later in islice(remaining, 1))
            yield path, future.result()
