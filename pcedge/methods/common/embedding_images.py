"""Features of training images from a method's network, in chunks, with the feature cache."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcedge.core.progress import Progress
from pcedge.fitting.build_bundle import embed_with, open_cache
from pcedge.fitting.features import BATCH
from pcedge.fitting.fit_in_memory import check_enough, without_words
from pcedge.networks.embedding_network import EmbeddingNetwork

from .fitter import FitTask

# Images whose features are in memory at once; full batches.
_CHUNK = 4 * BATCH


@dataclass(frozen=True)
class EmbeddedImages:
    """The images that were embedded.

    Attributes:
        used: Images whose features were passed on, in order.
        skipped: Path to reason of the images that could not be used.
        cached: Number of images whose features came from the cache.
        cache_problem: Why the cache was switched off; empty if it was not.
    """

    used: tuple[Path, ...]
    skipped: dict[Path, str]
    cached: int
    cache_problem: str


def embed_in_chunks(
    task: FitTask, network: EmbeddingNetwork, take: Callable[[NDArray[np.float32]], None], progress: Progress
) -> EmbeddedImages:
    """Embed the usable images, and pass on their features chunk by chunk.

    Args:
        task: The images.
        network: Gives features [images, *network.shape].
        take: Function that receives the features of a chunk of images.
        progress: Progress callback, called with the number of images done, stage ``embed``.

    Raises:
        DatasetError: Too few images can be used.
        OptionError: Too few images for the requested rates.
    """
    cache = open_cache(network, task.options)
    embed = embed_with(network, cache)
    used: list[Path] = []
    skipped: dict[Path, str] = {}
    cached = 0
    for start in range(0, len(task.paths), _CHUNK):

        def report(stage: str, done: int, _: int, start: int = start) -> None:
            progress(stage, start + done, len(task.paths))

        features = embed(task.paths[start : start + _CHUNK], report)
        take(features.embeddings)
        used += features.paths
        skipped |= features.skipped
        cached += features.cached
    check_enough(len(used), len(task.paths), task.at_least, skipped)
    task.options.rates.check(len(used), called="good images" + without_words(skipped))
    return EmbeddedImages(tuple(used), skipped, cached, cache.problem)
