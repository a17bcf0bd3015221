"""MVTec AD 2 (Heckler-Kram et al. 2025): a public test set with labels, private ones without."""

from pathlib import Path

from pcedge.datasets.dataset import GOOD, Dataset

from .base import Layout, images, kinds

_PUBLIC = "test_public"
_PRIVATE = ("test_private", "test_private_mixed")
_MASKS = "ground_truth"


def _matches(root: Path) -> bool:
    return (root / _PUBLIC).is_dir()


def _read(root: Path, _variant: str) -> Dataset:
    public = root / _PUBLIC
    test, stray = kinds(public, public / _MASKS)
    return Dataset(
        root,
        train=images(root / "train" / GOOD),
        test=test,
        validation=images(root / "validation" / GOOD),
        unlabelled=tuple(path for name in _PRIVATE for path in images(root / name)),
        stray_masks=stray,
        layout=LAYOUT.name,
        aupro_limit=0.05,
        any_mask_value=True,
    )


LAYOUT = Layout(
    name="mvtec-ad2",
    expected="train/good, validation/good, test_public/good, test_public/bad, "
    "test_public/ground_truth/bad/<stem>_mask.png",
    matches=_matches,
    read=_read,
)
