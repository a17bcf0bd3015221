"""MVTec AD (Bergmann et al. 2021), and the many datasets that were arranged like it."""

from pathlib import Path

from pcedge.datasets.dataset import GOOD, Dataset

from .base import Layout, folders, images, images_in_batches, kinds


def _matches(root: Path) -> bool:
    return bool(images_in_batches(root / "train" / GOOD)) or any(
        images(folder) for folder in folders(root / "test")
    )


def _read(root: Path, _variant: str) -> Dataset:
    test, stray = kinds(root / "test", root / "ground_truth")
    # Some keep their good images one level higher and only the test images in folders.
    train = images_in_batches(root / "train" / GOOD) or images(root) or images_in_batches(root / GOOD)
    return Dataset(root, train, test, stray_masks=stray, layout=LAYOUT.name)


LAYOUT = Layout(
    name="mvtec-ad",
    expected="train/good or train/good/<batch>, test/good, test/<kind>, ground_truth/<kind>/<stem>_mask.png",
    matches=_matches,
    read=_read,
)
