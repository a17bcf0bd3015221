"""MVTec LOCO AD (Bergmann et al. 2022): several masks an image, and good images set aside for validation."""

from pathlib import Path

from pcedge.datasets.dataset import GOOD, Dataset

from .base import Layout, images, kinds

_KINDS = ("logical_anomalies", "structural_anomalies")


def _matches(root: Path) -> bool:
    return any((root / "test" / kind).is_dir() for kind in _KINDS)


def _read(root: Path, _variant: str) -> Dataset:
    test, stray = kinds(root / "test", root / "ground_truth")
    return Dataset(
        root,
        train=images(root / "train" / GOOD),
        test=test,
        validation=images(root / "validation" / GOOD),
        stray_masks=stray,
        layout=LAYOUT.name,
        aupro_limit=0.05,
        # The value says which defect it is; it begins at 255 and counts down.
        any_mask_value=True,
    )


LAYOUT = Layout(
    name="mvtec-loco",
    expected="train/good, validation/good, test/good, test/logical_anomalies, test/structural_anomalies, "
    "ground_truth/<kind>/<stem>/000.png",
    matches=_matches,
    read=_read,
)
