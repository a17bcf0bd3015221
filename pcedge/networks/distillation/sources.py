"""Where training images come from: an endless, numbered series that depends on nothing but a seed."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from pcedge.camera import list_images, read_image
from pcedge.errors import DatasetError, ImageError, OptionError

from .procedural.scenes import render

# One file in this many is never trained on.
HELD_OUT_SHARE = 16
# Files that are tried for one image before the folders are given up.
_TRIES = 50
_TRAINING, _HELD_OUT, _KIND = 0, 1, 2


class ImageSource(Protocol):
    """An endless series of images; the held-out one shares none with the one for training."""

    @property
    def description(self) -> str:
        """What the images are, for people."""
        ...

    @property
    def unreadable(self) -> AbstractSet[str]:
        """Files that could not be read so far and were passed over, in this process."""
        ...

    def picture(self, index: int, size: int, *, held_out: bool = False) -> NDArray[np.uint8]:
        """The image of a number, uint8 [size, size, 3], always the same."""
        ...


@dataclass(frozen=True)
class Procedural:
    """Made-up images.

    Attributes:
        seed: Of the series.
    """

    seed: int

    @property
    def description(self) -> str:
        """What the images are, for people."""
        return "procedural"

    @property
    def unreadable(self) -> AbstractSet[str]:
        """Nothing is read."""
        return frozenset()

    def picture(self, index: int, size: int, *, held_out: bool = False) -> NDArray[np.uint8]:
        """The image of a number, uint8 [size, size, 3], always the same."""
        return render(_generator(self.seed, index, held_out), size)


@dataclass(frozen=True)
class Folders:
    """Random cuts of the image files in some folders and everything below them.

    Attributes:
        seed: Of the series.
        training: Files to train on.
        held_out: Files never trained on.
        description: What the images are, for people.
        unreadable: Files that could not be read so far and were passed over, in this process.
    """

    seed: int
    training: tuple[Path, ...]
    held_out: tuple[Path, ...]
    description: str
    unreadable: set[str] = field(default_factory=set, compare=False)

    def picture(self, index: int, size: int, *, held_out: bool = False) -> NDArray[np.uint8]:
        """The image of a number, uint8 [size, size, 3], always the same while the files are.

        Raises:
            DatasetError: Hardly any of the files can be read.
        """
        rng = _generator(self.seed, index, held_out)
        image = self._readable(rng, self.held_out if held_out else self.training)
        # From the whole shorter side down to the half of it, where there are enough pixels for that.
        side = min(image.shape[:2])
        cut = int(side * rng.uniform(0.5, 1)) if side > size else side
        top, left = (int(rng.integers(0, extent - cut + 1)) for extent in image.shape[:2])
        piece = image[top : top + cut, left : left + cut]
        shrink = cv2.INTER_AREA if cut > size else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(piece, (size, size), interpolation=shrink), np.uint8)

    def _readable(self, rng: np.random.Generator, files: Sequence[Path]) -> NDArray[np.uint8]:
        for _ in range(_TRIES):
            file = files[int(rng.integers(len(files)))]
            try:
                return read_image(file)
            except ImageError:
                self.unreadable.add(str(file))
        raise DatasetError(
            f"Of {self.description}, {_TRIES} tried one after another could not be read, {file} the last.",
            "Give --images folders of images that open in a viewer.",
        )


@dataclass(frozen=True)
class Mixed:
    """Made-up images among those from files.

    Attributes:
        procedural: The made-up ones.
        folders: Those from files.
        share: Of the made-up ones, 0 to 1.
    """

    procedural: Procedural
    folders: Folders
    share: float

    @property
    def description(self) -> str:
        """What the images are, for people."""
        return f"{self.folders.description}, and {self.share:.0%} procedural"

    @property
    def unreadable(self) -> AbstractSet[str]:
        """Files that could not be read so far and were passed over, in this process."""
        return self.folders.unreadable

    def picture(self, index: int, size: int, *, held_out: bool = False) -> NDArray[np.uint8]:
        """The image of a number, uint8 [size, size, 3], always the same while the files are."""
        made_up = np.random.default_rng([self.procedural.seed, _KIND, held_out, index]).random() < self.share
        chosen: ImageSource = self.procedural if made_up else self.folders
        return chosen.picture(index, size, held_out=held_out)


def open_pictures(folders: Sequence[Path], seed: int, procedural: float | None = None) -> ImageSource:
    """Pictures from image files below ``folders``, or procedural ones where none are named.

    Args:
        folders: Where the files are.
        seed: Of the series.
        procedural: Share of procedural images beside those from files, 0 to 1; None for none.

    Raises:
        DatasetError: A folder is missing, or they hold too few images to keep some back.
        OptionError: There is a share, but nothing to share with.
    """
    if procedural is not None and not folders:
        raise OptionError(
            "A share of made-up images means nothing without images: without --images, all are made up.",
            "Leave --procedural out, or name folders with --images.",
        )
    if not folders:
        return Procedural(seed)
    photographs = _open_folders(folders, seed)
    return Mixed(Procedural(seed), photographs, procedural) if procedural else photographs


def _open_folders(folders: Sequence[Path], seed: int) -> Folders:
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
