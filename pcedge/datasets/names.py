"""What folders are called: of good parts, of bad ones, and of neither."""

from collections.abc import Collection
from pathlib import Path

# In any case, with spaces and hyphens for underscores: see ``plain_name``.
GOOD_NAMES = frozenset(
    {
        *("good", "goods", "ok", "okay", "io", "normal", "normals", "nominal", "pass", "passed"),
        *("defect_free", "no_defect"),
    }
)
BAD_NAMES = frozenset(
    {
        *("bad", "ng", "nok", "ko", "nio", "not_good", "not_ok", "fail", "failed", "faulty", "broken"),
        *("reject", "rejects", "rejected", "defect", "defects", "defective"),
        *("anomaly", "anomalies", "anomalous", "abnormal"),
    }
)
TRAIN_NAMES = frozenset({"train", "training"})
TEST_NAMES = frozenset({"test", "tests", "testing"})
MASK_NAMES = frozenset({"ground_truth", "groundtruth", "gt", "mask", "masks"})
# What the name of a mask file ends with, beside the name of its image.
MASK_MARKS = ("_mask", "", "_masks", "_gt", "_label", "_labels", "_seg", "_annotation", "-mask", "-gt")
# Folders of which each product may have one.
_NO_PRODUCT = GOOD_NAMES | TRAIN_NAMES | {"images", "image", "imgs", "img", "pictures", "photos"}


def plain_name(name: str) -> str:
    """A folder's name as it is compared: ``Not Good`` and ``not-good`` are ``not_good``."""
    return "_".join(name.casefold().replace("-", " ").replace("_", " ").split())


def product_folder(root: Path) -> Path:
    """The folder that a product has to itself: that of ``bottle/train/good`` is ``bottle``.

    Args:
        root: A dataset's folder.
    """
    full = root.resolve()
    for place in (full, *full.parents):
        if place.name and plain_name(place.name) not in _NO_PRODUCT:
            return place
    return full


def is_called(folder: Path, names: Collection[str]) -> bool:
    """Whether a folder goes by one of these names, in any case."""
    return plain_name(folder.name) in names
