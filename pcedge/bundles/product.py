"""Which product a bundle is of: an identity that a name is not.

A name is what a person chose, or a folder happens to be called. The identity comes from the folder that the
product was first fitted from, and goes along when it is fitted again, calibrated, taught or copied.
"""

import hashlib
import os
from pathlib import Path

from pcedge.errors import BundleError

from .manifest import ProductManifest


def identity_of_folder(folder: Path) -> str:
    """The identity of a product that is fitted from this folder for the first time."""
    return hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]


def is_same_product(one: ProductManifest, other: ProductManifest) -> bool:
    """Whether two bundles are of one product; those of earlier versions are known by their dataset's name."""
    if one.product and other.product:
        return one.product == other.product
    return one.dataset == other.dataset


def check_same_product(directory: Path, running: ProductManifest, found: ProductManifest) -> None:
    """Check that a bundle that was replaced is still of the product that is judged by it.

    Args:
        directory: Where it lies.
        running: Of the bundle in use.
        found: Of the one that is there now.

    Raises:
        BundleError: It is another product's.
    """
    if not is_same_product(running, found):
        raise BundleError(
            f"{directory} now holds the bundle of another product ({found.dataset}); parts are judged by "
            f"that of {running.dataset} as before.",
            "If this is meant, start the line anew. Otherwise give each product a name of its own: "
            "pcedge fit DATASET --name NAME",
        )
