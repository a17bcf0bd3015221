"""A plain folder: good images, or ``good`` and ``bad``, perhaps with ``masks``."""

import hashlib
from pathlib import Path

from pcedge.datasets.dataset import GOOD, Dataset, Sample

from .base import Layout, folders, images, images_in_batches, paired

BAD, MASKS = "bad", "masks"
HELD_OUT = 0.2


def _matches(root: Path) -> bool:
    return bool(images(root)) or bool(images_in_batches(root / GOOD))


def _read(root: Path, _variant: str) -> Dataset:
    good = images(root) or images_in_batches(root / GOOD)
    defects, stray = _defects(root, good)
    if not defects:
        return Dataset(root, good, (), layout=LAYOUT.name)
    tested = _held_out(good)
    return Dataset(
        root,
        train=tuple(path for path in good if path not in tested),
        test=(*(Sample(path, GOOD) for path in good if path in tested), *defects),
        stray_masks=stray,
        layout=LAYOUT.name,
    )


def _defects(root: Path, good: tuple[Path, ...]) -> tuple[tuple[Sample, ...], tuple[Path, ...]]:
    """Images in ``bad`` and in folders of kinds below it, with masks of ``masks`` or ``masks/<kind>``.

    Good images may have masks too, which mark nothing.
    """
    samples, stray = paired(images(root / BAD), root / MASKS, BAD)
    without_defect = {name for path in good for name in (path.stem, f"{path.stem}_mask")}
    for folder in folders(root / BAD):
        found, left = paired(images(folder), root / MASKS / folder.name, folder.name)
        samples, stray = samples + found, stray + left
    known = {mask for sample in samples for mask in sample.masks}
    known |= {path for path in stray if path.stem in without_defect}
    return samples, tuple(path for path in dict.fromkeys(stray) if path not in known)


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
    return int.from_bytes(hashlib.sha256(path.name.encode()).digest()[:6], "big") / 2**48


LAYOUT = Layout(
    name="plain",
    expected="image files in the folder itself or in good; for testing also bad and masks/<stem>.png",
    matches=_matches,
    read=_read,
)
