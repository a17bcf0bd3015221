"""Checks on the way in: what would make results untrustworthy is found, named and counted."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcedge.core.progress import Progress, silent
from pcedge.errors import ImageError

from .dataset import Dataset, Sample
from .left_out import LeftOut
from .likeness import alike, nearest, spectrum
from .reading import read_content, read_ground_truth


@dataclass(frozen=True)
class Leak:
    """A test image that was also learned from.

    Attributes:
        test: Its name in the dataset.
        train: The training image that shows the same.
        distance: Between the two pictures' signatures, from 0 (the same) to 2.
        identical: Whether the files are the same to the byte.
    """

    test: str
    train: str
    distance: float
    identical: bool


@dataclass(frozen=True)
class Contradiction:
    """The same content, labelled good in one place and defective in another.

    Attributes:
        good: The image that is said to be good, by its name.
        defective: The one that is said to show a defect.
        identical: Whether the files are the same to the byte.
    """

    good: str
    defective: str
    identical: bool


@dataclass(frozen=True)
class Audit:
    """What is wrong with a dataset. Images are named as in the dataset.

    Attributes:
        layout: The layout it was read by.
        train: Good images to learn from.
        test_good: Good test images.
        test_defective: Defective test images.
        validation: Good images set aside.
        unlabelled: Images without published labels.
        leaks: Test images that show what a training image shows, each with the most similar one.
        unreadable: Images that cannot be used, and why.
        unusable_masks: Defective images whose masks cannot be read, do not match or mark nothing, and why.
        defects_without_mask: Defective images without a mask.
        masks_without_image: Masks that belong to no test image.
        left_out: What else is in the folder, by reason.
        masks: How the masks are read, in words; empty where there are none.
        doubtful_masks: Masks that may mean something else, and why.
        contradictions: Images that are labelled good in one place and defective in another.
    """

    layout: str
    train: int
    test_good: int
    test_defective: int
    validation: int
    unlabelled: int
    leaks: tuple[Leak, ...]
    unreadable: dict[str, str]
    unusable_masks: dict[str, str]
    defects_without_mask: tuple[str, ...]
    masks_without_image: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()
    masks: str = ""
    doubtful_masks: dict[str, str] = field(default_factory=dict)
    contradictions: tuple[Contradiction, ...] = ()

    @property
    def trustworthy(self) -> bool:
        """Whether nothing falsifies results: no leak, and no mask that contradicts its image."""
        masks = self.unusable_masks or self.masks_without_image or self.doubtful_masks
        return not (self.leaks or masks or self.contradictions)

    @property
    def findings(self) -> int:
        """How many things were found, those included that only leave something out."""
        masks = (self.unusable_masks, self.masks_without_image, self.doubtful_masks)
        lists = (self.leaks, self.contradictions, self.unreadable, *masks)
        return sum(map(len, lists)) + len(self.defects_without_mask)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {**asdict(self), "trustworthy": self.trustworthy, "findings": self.findings}


@dataclass(frozen=True, eq=False)
class _ImageScan:
    """One image, looked at: what it is compared by, and what was wrong."""

    digest: bytes
    spectrum: NDArray[np.float32] | None
    problem: str = ""
    mask_problem: str = ""


_ImageScans = dict[str, _ImageScan]


def audit(dataset: Dataset, progress: Progress = silent) -> Audit:
    """Read every image and mask once and report what is wrong; nothing is changed or left out.

    Args:
        dataset: Any.
        progress: Called with images read, as the stage ``check``.
    """
    _ = dataset.masks  # decided once, before several threads ask for it
    train, test = _look_at_all(dataset, progress)
    looks = {**train, **test}
    defects = [sample for sample in dataset.test if sample.is_defect]
    return Audit(
        layout=dataset.layout,
        train=len(dataset.train),
        test_good=len(dataset.test) - len(defects),
        test_defective=len(defects),
        validation=len(dataset.validation),
        unlabelled=len(dataset.unlabelled),
        leaks=tuple(_leaks(train, test)),
        contradictions=tuple(_contradictions(looks, _labelled_defective(dataset))),
        unreadable={name: look.problem for name, look in looks.items() if look.problem},
        unusable_masks={name: look.mask_problem for name, look in looks.items() if look.mask_problem},
        defects_without_mask=tuple(dataset.relative(s.path) for s in defects if not s.masks),
        masks_without_image=tuple(map(dataset.relative, dataset.stray_masks)),
        left_out=dataset.left_out,
        masks=dataset.masks.said if any(sample.masks for sample in dataset.test) else "",
        doubtful_masks={dataset.relative(path): why for path, why in dataset.masks.doubtful.items()},
    )


def find_leaks(dataset: Dataset, progress: Progress = silent) -> tuple[Leak, ...]:
    """Test images of a dataset that show what one of its training images shows.

    Args:
        dataset: Any; without training or without test images there is nothing to read.
        progress: Called with images read, as the stage ``check``.
    """
    if not dataset.train or not dataset.test:
        return ()
    return tuple(_leaks(*_look_at_all(dataset, progress)))


@dataclass(frozen=True)
class Copies:
    """The same content in two places of a dataset where that falsifies results.

    Attributes:
        leaks: Test images that show what a training image shows.
        contradictions: Images labelled good in one place and defective in another.
    """

    leaks: tuple[Leak, ...] = ()
    contradictions: tuple[Contradiction, ...] = ()


def find_copies(dataset: Dataset, progress: Progress = silent) -> Copies:
    """Leaks and contradictions of a dataset.

    Args:
        dataset: Any.
        progress: Called with images read, as the stage ``check``.
    """
    if not dataset.test:
        return Copies()
    train, test = _look_at_all(dataset, progress)
    found = _contradictions({**train, **test}, _labelled_defective(dataset))
    return Copies(tuple(_leaks(train, test)), tuple(found))


def find_shared(datasets: Mapping[str, Dataset]) -> tuple[tuple[str, str], ...]:
    """Images that are the same to the byte in two products.

    Args:
        datasets: By the products' names, which come before those of images.
    """
    first: dict[bytes, tuple[str, str]] = {}
    shared = []
    for product, dataset in datasets.items():
        for path in (*dataset.train, *(sample.path for sample in dataset.test)):
            name, digest = f"{product}/{dataset.relative(path)}", _digest(path)
            owner, other = first.setdefault(digest, (product, name))
            if digest and owner != product:
                shared.append((other, name))
    return tuple(shared)


def _labelled_defective(dataset: Dataset) -> frozenset[str]:
    return frozenset(dataset.relative(sample.path) for sample in dataset.test if sample.is_defect)


def _contradictions(looks: _ImageScans, defective: frozenset[str]) -> Iterator[Contradiction]:
    """Pairs of the same content, the good one first; each defective image once."""
    names = [name for name, look in looks.items() if look.spectrum is not None]
    pairs = [(names[one], names[other]) for one, other in alike(_spectra(looks))] if names else []
    good = {look.digest: name for name, look in looks.items() if look.digest and name not in defective}
    same = [(twin, name) for name in defective if (twin := good.get(looks[name].digest))]
    told = set()
    for one, other in (*same, *pairs):
        left, right = (one, other) if one not in defective else (other, one)
        if left not in defective and right in defective and right not in told:
            told.add(right)
            yield Contradiction(left, right, looks[left].digest == looks[right].digest)


def _look_at_all(dataset: Dataset, progress: Progress) -> tuple[_ImageScans, _ImageScans]:
    """Training and test images, looked at, by name."""
    tasks: list[tuple[Path, Sample | None]] = [(path, None) for path in dataset.train]
    tasks += [(sample.path, sample) for sample in dataset.test]
    train: _ImageScans = {}
    test: _ImageScans = {}
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found = pool.map(lambda task: _look_at(dataset, *task), tasks)
        try:
            for done, ((path, sample), look) in enumerate(zip(tasks, found, strict=True), 1):
                (test if sample else train)[dataset.relative(path)] = look
                progress("check", done, len(tasks))
        finally:
            # Whoever stops this does not wait for the images that are left.
            pool.shutdown(cancel_futures=True)
    return train, test


def _look_at(dataset: Dataset, path: Path, sample: Sample | None) -> _ImageScan:
    digest = _digest(path)
    try:
        image = read_content(path)
    except ImageError as error:
        return _ImageScan(digest, None, problem=error.what)
    try:
        if sample is not None:
            read_ground_truth(dataset, sample, image.shape)
    except ImageError as error:
        return _ImageScan(digest, spectrum(image), mask_problem=error.what)
    return _ImageScan(digest, spectrum(image))


def _digest(path: Path) -> bytes:
    """Of the file's bytes; empty where it cannot be read, which reading the image reports."""
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return b""


def _leaks(train: _ImageScans, test: _ImageScans) -> Iterator[Leak]:
    trained = [name for name, look in train.items() if look.spectrum is not None]
    tested = [name for name, look in test.items() if look.spectrum is not None]
    if not trained or not tested:
        return
    rows, distances, limit = nearest(_spectra(train), _spectra(test))
    twins = {look.digest: name for name, look in train.items()}
    for name, row, distance in zip(tested, rows, distances, strict=True):
        if twin := twins.get(test[name].digest):
            yield Leak(name, twin, 0.0, identical=True)
        elif distance <= limit:
            yield Leak(name, trained[row], float(distance), identical=False)


def _spectra(looks: _ImageScans) -> NDArray[np.float32]:
    return np.stack([look.spectrum for look in looks.values() if look.spectrum is not None])
