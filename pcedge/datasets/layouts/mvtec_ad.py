"""MVTec AD (Bergmann et al. 2021), and the many datasets that were arranged like it."""

from pathlib import Path

from pcedge.datasets.dataset import Dataset
from pcedge.datasets.names import GOOD_NAMES, MASK_NAMES, TEST_NAMES, TRAIN_NAMES, plain_name

from .base import (
    Layout,
    chosen_folder,
    folders,
    images,
    images_in_batches,
    kinds,
    named,
    only,
    two_readings,
)

_NAME = "mvtec-ad"


def _matches(root: Path) -> bool:
    trained = any(named(folder, GOOD_NAMES) for folder in named(root, TRAIN_NAMES))
    return trained or any(map(folders, named(root, TEST_NAMES)))


def _read(root: Path, variant: str) -> Dataset:
    train = chosen_folder(root, variant, _NAME) if variant else _good_folder(root)
    test = only(root, TEST_NAMES, "test images")
    masks = only(root, MASK_NAMES, "masks")
    called = {*GOOD_NAMES, plain_name(train.name)} if variant and train else GOOD_NAMES
    samples, stray = kinds(test or root / "test", masks or root / "ground_truth", called)
    good = images(root) if train == root else images_in_batches(train) if train else ()
    return Dataset(root, good, samples, stray_masks=stray, layout=_NAME)


def _good_folder(root: Path) -> Path | None:
    """Where the good images to learn from are; some keep them one level higher than ``train/good``.

    Raises:
        DatasetError: There are several such places.
    """
    train = only(root, TRAIN_NAMES, "images to learn from")
    trained = named(train, GOOD_NAMES) if train else ()
    found = {place: images_in_batches(place) for place in (*trained, *named(root, GOOD_NAMES))}
    if not trained and images(root):
        found[root] = images(root)
    if len(found) > 1:
        raise two_readings(root, _NAME, found)
    return next(iter(found), None)


LAYOUT = Layout(
    name=_NAME,
    expected="train/good or train/good/<batch>, test/good, test/<kind>, ground_truth/<kind>/<stem>_mask.png",
    matches=_matches,
    read=_read,
    variants=True,
)
