"""A plain folder: good images, or ``good`` and ``bad``, perhaps with ``masks``."""

import hashlib
import os
from pathlib import Path

from pcedge.datasets.dataset import GOOD, Dataset, Sample
from pcedge.datasets.names import BAD_NAMES, GOOD_NAMES, MASK_MARKS, MASK_NAMES

from .base import (
    Layout,
    chosen_folder,
    folders,
    images,
    images_in_batches,
    named,
    only,
    paired,
    two_readings,
)

_NAME, BAD = "plain", "bad"
HELD_OUT = 0.2


def _matches(root: Path) -> bool:
    return bool(images(root)) or bool(named(root, GOOD_NAMES))


def _read(root: Path, variant: str) -> Dataset:
    folder = chosen_folder(root, variant, _NAME) if variant else _good_folder(root)
    good = images(root) if folder == root else images_in_batches(folder) if folder else ()
    defects, stray = _defects(root, good)
    if not defects:
        return Dataset(root, good, (), layout=_NAME)
    tested = _held_out(good)
    return Dataset(
        root,
        train=tuple(path for path in good if path not in tested),
        test=(*(Sample(path, GOOD) for path in good if path in tested), *defects),
        stray_masks=stray,
        layout=_NAME,
    )


def _good_folder(root: Path) -> Path | None:
    """Where the good images are.

    Raises:
        DatasetError: There are several such places.
    """
    found = {place: images_in_batches(place) for place in named(root, GOOD_NAMES)}
    if images(root):
        found[root] = images(root)
    if len(found) > 1:
        raise two_readings(root, _NAME, found)
    return next(iter(found), None)


def _defects(root: Path, good: tuple[Path, ...]) -> tuple[tuple[Sample, ...], tuple[Path, ...]]:
    """Images in ``bad`` and in folders of kinds below it, with masks of ``masks`` or ``masks/<kind>``.

    Good images may have masks too, which mark nothing.
    """
    bad, masks = named(root, BAD_NAMES), only(root, MASK_NAMES, "masks")
    samples: list[Sample] = []
    stray: list[Path] = []
    for place in bad:
        found, left = paired(place, masks, BAD, deep=False)
        samples, stray = [*samples, *found], [*stray, *left]
        for folder in folders(place):
            found, left = paired(folder, masks / folder.name if masks else None, folder.name)
            samples, stray = [*samples, *found], [*stray, *left]
    known = {mask for sample in samples for mask in sample.masks}
    of_good = {path.stem for path in good}
    return tuple(samples), tuple(
        path
        for path in dict.fromkeys(stray)
        if path not in known and not {path.stem.removesuffix(mark) for mark in MASK_MARKS} & of_good
    )


def _held_out(good: tuple[Path, ...]) -> frozenset[Path]:
    """A fifth of the good images to test on, chosen by their names.

    So an image stays on its side when others are added, and is never tested with after it was learned from.
    """
    if len(good) < 2:
        return frozenset()
    order = sorted(good, key=_share)
    return frozenset(path for path in order if _share(path) < HELD_OUT) or frozenset(order[:1])


def _share(path: Path) -> float:
    """A number from 0 to 1 that the name alone decides."""
    return int.from_bytes(hashlib.sha256(os.fsencode(path.name)).digest()[:6], "big") / 2**48


LAYOUT = Layout(
    name=_NAME,
    expected="image files in the folder itself or in good; for testing also bad and masks/<stem>.png",
    matches=_matches,
    read=_read,
    variants=True,
)
