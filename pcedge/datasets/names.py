"""What folders are called: of good parts, of bad ones, and of neither."""

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
