"""BTAD, the beanTech Anomaly Detection dataset (Mishra et al. 2021): ``ok`` and ``ko``, BMP and PNG mixed."""

from pathlib import Path

from pcedge.datasets.dataset import Dataset

from .base import Layout, images, kinds

_OK = "ok"


def _matches(root: Path) -> bool:
    only_tested = not (root / "train").is_dir() and (root / "test" / "ko").is_dir()
    return only_tested or (root / "train" / _OK).is_dir()


def _read(root: Path, _variant: str) -> Dataset:
    test, stray = kinds(root / "test", root / "ground_truth", good=(_OK,))
    return Dataset(
        root,
        train=images(root / "train" / _OK),
        test=test,
        stray_masks=stray,
        layout=LAYOUT.name,
        any_mask_value=True,
    )


LAYOUT = Layout(
    name="btad",
    expected="train/ok, test/ok, test/ko, ground_truth/ko/<stem>.png or .bmp",
    matches=_matches,
    read=_read,
)
