"""What a fit may replace: the bundle of the same product, and another's only where that is asked for."""

from collections.abc import Collection
from pathlib import Path

from pcedge.bundles.bundle import Bundle
from pcedge.bundles.manifest import MANIFEST_FILE, PATCHCORE, ProductManifest, read_manifest_as
from pcedge.bundles.product import identity_of_folder
from pcedge.datasets import Dataset, product_folder
from pcedge.errors import BundleError, OptionError
from pcedge.thresholds.calibration_data import read_learned

from .feature_cache import content_digest

# A dataset that was moved or grew holds at least this share of the images that were learned from.
_SHARED = 0.5


def product_of(directory: Path, dataset: Dataset, *, replace: bool) -> str:
    """The product's identity: that of the bundle to be replaced, where it is of the same product.

    Args:
        directory: Where the bundle is to be.
        dataset: What is fitted.
        replace: Whether the bundle of another product may be replaced.

    Raises:
        OptionError: There is another product's bundle, and it may not be replaced.
    """
    own = identity_of_folder(product_folder(dataset.root))
    before = _before(directory)
    if before is None:
        return own
    if _is_same(directory, before, dataset, own):
        return before.product or own
    if replace:
        return own
    raise OptionError(
        f"{directory} is the bundle of another dataset, {before.dataset}; this one is {dataset.title}.",
        "Give this product a name of its own with --name NAME, or --replace to put it in that one's place.",
    )


def _before(directory: Path) -> ProductManifest | None:
    """What is replaced; None where there is nothing, or nothing that can be read."""
    if not (directory / MANIFEST_FILE).is_file():
        return None
    try:
        return read_manifest_as(ProductManifest, directory)
    except BundleError:
        return None


def _is_same(directory: Path, before: ProductManifest, dataset: Dataset, own: str) -> bool:
    same_place = own == before.product if before.product else dataset.title == before.dataset
    return same_place or _shares_images(_learned(directory, before), dataset)


def _learned(directory: Path, before: ProductManifest) -> Collection[str]:
    if before.method != PATCHCORE:
        return ()
    try:
        return read_learned(Bundle.open(directory)).values()
    except BundleError:
        return ()


def _shares_images(learned: Collection[str], dataset: Dataset) -> bool:
    """Whether most of what was learned from is here, wherever it was then."""
    if not learned:
        return False
    here = {digest for path in dataset.train if (digest := _digest(path))}
    return len(here.intersection(learned)) >= _SHARED * len(set(learned))


def _digest(path: Path) -> str:
    try:
        return content_digest(path)
    except OSError:
        return ""
