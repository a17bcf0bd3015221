"""Datasets on disk: which images are good, which are for testing, and where their masks are."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcedge.camera import IMAGE_SUFFIXES, list_images, read_image, without_content
from pcedge.errors import DatasetError, ImageError

GOOD = "good"


@dataclass(frozen=True)
class Sample:
    """A test image.

    Attributes:
        path: The image file.
        kind: ``good``, or the kind of defect.
        mask: The ground-truth mask file, or None where there is none.
    """

    path: Path
    kind: str
    mask: Path | None = None

    @property
    def is_defect(self) -> bool:
        """Whether the image shows a defect."""
        return self.kind != GOOD


@dataclass(frozen=True)
class Dataset:
    """Images of one product.

    Attributes:
        root: The folder.
        train: Nominal images to fit on.
        test: Labelled images to evaluate on; empty for a plain folder.
    """

    root: Path
    train: tuple[Path, ...]
    test: tuple[Sample, ...]

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.root.resolve().name

    @property
    def title(self) -> str:
        """The folder's name and its parent's, such as ``mvtec/bottle``."""
        return "/".join(self.root.resolve().parts[-2:]).lstrip("/")

    def relative(self, path: Path) -> str:
        """A file's name within the dataset."""
        return path.relative_to(self.root).as_posix()


def open_dataset(root: Path) -> Dataset:
    """Recognise a folder: the MVTec layout, or a plain folder of good images.

    The MVTec layout is ``train/good``, ``test/<kind>`` and ``ground_truth/<kind>/<stem>_mask.png``. A folder
    ``good`` by itself counts as a plain folder.

    Raises:
        DatasetError: The folder is missing, or is neither; the text says what was looked for.
    """
    if not root.is_dir():
        raise DatasetError(
            f"There is no folder {root}.",
            "Give a folder of good images, or one in MVTec layout (train/good, test/<kind>).",
        )
    train = _images(root / "train" / GOOD) or _images(root) or _images(root / GOOD)
    test = tuple(sample for folder in _folders(root / "test") for sample in _samples(root, folder))
    if not train and not test:
        raise DatasetError(f"{root} has no images to use.", _advice(root))
    return Dataset(root, train, test)


def training_images(dataset: Dataset, *, at_least: int) -> tuple[Path, ...]:
    """The good images to fit on.

    Raises:
        DatasetError: There are fewer than ``at_least``.
    """
    if len(dataset.train) < at_least:
        raise DatasetError(
            f"{dataset.root} has {len(dataset.train)} good images to fit on; at least {at_least} are needed.",
            "Put good images into the folder itself or into its train/good.",
        )
    return dataset.train


def labelled_images(dataset: Dataset) -> tuple[Sample, ...]:
    """The images to evaluate on.

    Raises:
        DatasetError: There are none.
    """
    if not dataset.test:
        raise DatasetError(
            f"{dataset.root} has no test images.",
            "Evaluation needs test/good and test/<kind of defect> in the folder.",
        )
    return dataset.test


def read_content(path: Path) -> NDArray[np.uint8]:
    """Read an image to learn from or to measure on, as uint8 [height, width, 3].

    Raises:
        ImageError: It cannot be read, or shows nothing: watch would not judge it either.
    """
    image = read_image(path)
    if reason := without_content(image):
        raise ImageError(f"{path}: shows nothing to judge: {reason}.")
    return image


def _samples(root: Path, folder: Path) -> list[Sample]:
    masks = root / "ground_truth" / folder.name
    return [Sample(path, folder.name, _mask(masks, path)) for path in _images(folder)]


def _mask(folder: Path, image: Path) -> Path | None:
    candidates = (folder / f"{image.stem}_mask.png", folder / f"{image.stem}.png")
    return next((path for path in candidates if path.is_file()), None)


def _images(folder: Path) -> tuple[Path, ...]:
    return tuple(list_images(folder)) if folder.is_dir() else ()


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _advice(root: Path) -> str:
    categories = [path.name for path in _folders(root) if (path / "train" / GOOD).is_dir()]
    if categories:
        return f"It holds several datasets; name one: {root / categories[0]}"
    if (root / "train").is_dir():
        return f"Good images are expected in {root / 'train' / GOOD}."
    return f"Expected image files ({', '.join(sorted(IMAGE_SUFFIXES))}) in it, or train/good below it."
