"""The nominal images that a network is tuned on, at the size of its input, and those that only measure."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import usable_cores
from pcedge.core.preprocessing import Preprocessing
from pcedge.datasets import read_content
from pcedge.errors import DatasetError, ImageError

MIN_PICTURES = 16
# More images would lengthen every epoch; so many show what there is to a few low-rate epochs.
MOST_PICTURES = 256
_HELD_OUT_SHARE = 0.2
_MOST_HELD_OUT = 32

Pictures = NDArray[np.uint8]
_SPLIT = 1


@dataclass(frozen=True, eq=False)
class TuningSplit:
    """Nominal images at the network's input size.

    Attributes:
        train: uint8 [n, s, s, 3], to tune on.
        held_out: uint8 [m, s, s, 3], to measure on; never tuned on.
    """

    train: Pictures
    held_out: Pictures


def load_split(paths: Sequence[Path], preprocessing: Preprocessing, seed: int) -> TuningSplit:
    """Read nominal images, those that cannot be used passed over, and hold a fifth of them out.

    Raises:
        DatasetError: There are fewer than ``MIN_PICTURES`` to be used.
    """
    order = np.random.default_rng([seed, _SPLIT]).permutation(len(paths))
    pictures: list[Pictures] = []
    with ThreadPoolExecutor(max_workers=usable_cores()) as pool:
        for start in range(0, len(order), MOST_PICTURES):
            chosen = [paths[index] for index in order[start : start + MOST_PICTURES - len(pictures)]]
            found = pool.map(lambda path: _picture(path, preprocessing), chosen)
            pictures += [picture for picture in found if picture is not None]
    if len(pictures) < MIN_PICTURES:
        raise DatasetError(
            f"{len(pictures)} of the {len(paths)} good images can be used; fine-tuning needs at least "
            f"{MIN_PICTURES}, some of them to tell whether it helped.",
            "Give more good images, or leave out --finetune.",
        )
    held_out = min(round(len(pictures) * _HELD_OUT_SHARE), _MOST_HELD_OUT)
    stacked = np.stack(pictures)
    return TuningSplit(train=stacked[held_out:], held_out=stacked[:held_out])


def network_input(pictures: Pictures, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Normalise images uint8 [n, s, s, 3] as a fit does: float32 [n, 3, s, s]."""
    mean, std = np.array(preprocessing.mean, np.float32), np.array(preprocessing.std, np.float32)
    normalised = (pictures.astype(np.float32) / 255 - mean) / std
    return np.ascontiguousarray(normalised.transpose(0, 3, 1, 2), np.float32)


def _picture(path: Path, preprocessing: Preprocessing) -> Pictures | None:
    try:
        normalised = preprocessing.apply(read_content(path))
    except ImageError:
        return None
    # Undone, so that whatever a network's resize is, there is one implementation of it.
    pixels = normalised.transpose(1, 2, 0) * np.array(preprocessing.std) + np.array(preprocessing.mean)
    return np.asarray(np.clip(np.rint(pixels * 255), 0, 255), np.uint8)
