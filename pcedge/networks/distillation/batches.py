"""Training batches: the same for the same step and settings, however often training is interrupted.

A window of source images moves along the series, a few new ones a step; a batch is cut from the window with
fresh geometry, colour and noise. Making an image takes much longer than cutting one out, and so each is used
a dozen times, never twice alike.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from .augmentation import augmented, with_local_change
from .sources import ImageSource

# Larger than a cut, so that cuts can move and turn.
_PICTURE_OVER_CUT = 9 / 7
_BATCH, _HELD_OUT = 2, 3


@dataclass(frozen=True)
class BatchSettings:
    """What a batch is made of.

    Attributes:
        seed: Of everything random.
        size: Height and width of a cut in pixels.
        distinct: Cuts in a batch that have nothing to do with each other.
        twins: How many of them are followed, at the end of the batch, by a copy with a small local change.
        pool: Source images to cut from at any time.
        fresh: Source images that are replaced by new ones every step.
    """

    seed: int = 0
    size: int = 224
    distinct: int = 24
    twins: int = 8
    pool: int = 1024
    fresh: int = 3

    @property
    def picture_size(self) -> int:
        """Height and width of the source images."""
        return round(self.size * _PICTURE_OVER_CUT)


class TrainingBatch(NamedTuple):
    """What one training step gets.

    Attributes:
        images: uint8 [distinct + twins, size, size, 3].
        unreadable: Files that could not be read so far and were passed over: where batches are made by a
            process of their own, this is how the others learn of them.
    """

    images: Tensor
    unreadable: tuple[str, ...]


class Batches(IterableDataset[TrainingBatch]):
    """Batches from a step on, without end.

    Args:
        images: What to cut from.
        settings: How.
        first_step: The step of the first batch.
    """

    def __init__(self, pictures: ImageSource, settings: BatchSettings, first_step: int = 0) -> None:
        self._pictures = pictures
        self._settings = settings
        self._first_step = first_step

    def __iter__(self) -> Iterator[TrainingBatch]:
        settings, step = self._settings, self._first_step
        low = step * settings.fresh
        pool = {index: self._picture(index) for index in range(low, low + settings.pool)}
        while True:
            rng = np.random.default_rng([settings.seed, _BATCH, step])
            images = torch.from_numpy(_batch(rng, pool, settings))
            yield TrainingBatch(images, tuple(sorted(self._pictures.unreadable)))
            for index in range(low, low + settings.fresh):
                del pool[index]
                pool[index + settings.pool] = self._picture(index + settings.pool)
            low += settings.fresh
            step += 1

    def _picture(self, index: int) -> NDArray[np.uint8]:
        return self._pictures.picture(index, self._settings.picture_size)


def stream(batches: Batches, *, worker: bool) -> Iterator[TrainingBatch]:
    """The batches, made ahead by a process of their own if ``worker``."""
    if not worker:
        return iter(batches)
    # Spawned: a forked copy of a process that runs threads can stop for ever.
    return iter(
        DataLoader(
            batches,
            batch_size=None,
            num_workers=1,
            prefetch_factor=6,
            multiprocessing_context="spawn",
            worker_init_fn=_one_thread,
        )
    )


def held_out(pictures: ImageSource, settings: BatchSettings, count: int) -> Tensor:
    """Cuts that training never sees, uint8 [count, size, size, 3]: the second half are twins of the first."""
    rng = np.random.default_rng([settings.seed, _HELD_OUT])
    half = count // 2
    pool = {index: pictures.picture(index, settings.picture_size, held_out=True) for index in range(half)}
    cuts = [augmented(rng, pool[index], pool[(index + 1) % half], settings.size) for index in range(half)]
    changed = [with_local_change(rng, cut) for cut in cuts]
    return torch.from_numpy(np.stack(cuts + changed))


def _batch(
    rng: np.random.Generator, pool: dict[int, NDArray[np.uint8]], settings: BatchSettings
) -> NDArray[np.uint8]:
    low = min(pool)
    chosen = low + rng.integers(len(pool), size=(settings.distinct, 2))
    cuts = [augmented(rng, pool[int(one)], pool[int(other)], settings.size) for one, other in chosen]
    changed = [with_local_change(rng, cut) for cut in cuts[: settings.twins]]
    return np.stack(cuts + changed)


def _one_thread(_: int) -> None:
    """Leave the processor's cores to the training."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
