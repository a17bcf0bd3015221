"""Where training pictures come from: an endless, numbered series that depends on nothing but a seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from pcedge.camera import list_images, read_image
from pcedge.errors import DatasetError

from .scenes import render

# One file in this many is never trained on.
HELD_OUT_SHARE = 16
_TRAINING, _HELD_OUT = 0, 1


class Pictures(Protocol):
    """An endless series of pictures; the held-out one shares none with the one for training."""

    @property
    def description(self) -> str:
        """What the pictures are, for people."""
        ...

    def picture(self, index: int, size: int, *, held_out: bool = False) -> NDArray[np.uint8]:
        """The picture of a number, uint8 [size, size, 3], always the same."""
        ...


@dataclass(frozen=True)
class Procedural:
    """Made-up pictures.

    Attributes:
        seed: Of the series.
    """

    seed: int

    @property
    def description(self) -> str:
        """What the pictures are, for people."""
        return "procedural"

    def picture(self, index: int, size: int, *, held_out: bool = False) -> NDArray[np.uint8]:
        """The picture of a number, uint8 [size, size, 3], always the same."""
        return render(_generator(self.seed, index, held_out), size)


@dataclass(frozen=True)
class Folders:
    """Random cuts of the image files in some folders and everything below them.

    Attributes:
        seed: Of the series.
        training: Files to train on.
        held_out: Files never trained on.
        description: What the pictures are, for people.
    """

    seed: int
    training: tuple[Path, ...]
    held_out: tuple[Path, ...]
    description: str

    def picture(self, index: int, size: int, *, held_out: bool = False) -> NDArray[np.uint8]:
        """The picture of a number, uint8 [size, size, 3], always the same while the files are."""
        rng = _generator(self.seed, index, held_out)
        files = self.held_out if held_out else self.training
        image = read_image(files[rng.integers(len(files))])
        # From the whole shorter side down to the half of it, where there are enough pixels for that.
        side = min(image.shape[:2])
        cut = int(side * rng.uniform(0.5, 1)) if side > size else side
        top, left = (int(rng.integers(0, extent - cut + 1)) for extent in image.shape[:2])
        piece = image[top : top + cut, left : left + cut]
        shrink = cv2.INTER_AREA if cut > size else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(piece, (size, size), interpolation=shrink), np.uint8)


def open_pictures(folders: Sequence[Path], seed: int) -> Pictures:
    """Pictures from image files below ``folders``, or procedural ones where none are named.

    Raises:
        DatasetError: A folder is missing, or they hold too few images to keep some back.
    """
    if not folders:
        return Procedural(seed)
    files = [path for folder in folders for path in _images_below(folder)]
    # By content of the name, not by place in the list: a file stays on its side when others are added.
    kept_back = [path for path in files if _hash(path.name) % HELD_OUT_SHARE == 0]
    training = [path for path in files if _hash(path.name) % HELD_OUT_SHARE]
    if not kept_back or not training:
        raise DatasetError(
            f"{', '.join(map(str, folders))}: {len(files)} images are too few to train on some and keep "
            f"some back.",
            "Give folders with some hundred images or more, or leave --images out to train on made-up ones.",
        )
    names = ", ".join(folder.resolve().name for folder in folders)
    return Folders(seed, tuple(training), tuple(kept_back), f"{len(files)} images from {names}")


def _images_below(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DatasetError(f"There is no folder {folder}.", "Give --images a folder of images.")
    inner = sorted(path for path in folder.rglob("*") if path.is_dir())
    return [path for place in (folder, *inner) for path in list_images(place)]


def _generator(seed: int, index: int, held_out: bool) -> np.random.Generator:
    return np.random.default_rng([seed, _HELD_OUT if held_out else _TRAINING, index])


def _hash(name: str) -> int:
    return int.from_bytes(sha256(name.encode()).digest()[:4], "big")
