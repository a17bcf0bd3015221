"""The drift reference kept at fit: which bank rows are rarely nearest to good parts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import FLOAT, INDEX_FILE, TEXT, TRUTH, Bank
from pcedge.core.npz import open_arrays, read_arrays, replace_arrays
from pcedge.core.progress import Progress, silent

from .bundle import Bundle
from .files import BundleFiles, describe_file
from .manifest import Manifest, ProductManifest
from .row_usage import rare_rows

RARE_ROWS_FILE = "rare_rows.npz"
# Number of images whose nearest bank rows are recorded; each search adds time to the fit.
_USAGE_IMAGES = 100
_LARGEST = 1e12


def write_rare_rows(staging: Path, used: NDArray[np.int64], rows: int) -> None:
    """Write which rows of a bundle's bank are rarely used.

    Args:
        staging: The bundle's directory, with the bank's file.
        used: The result of :func:`rows_used`.
        rows: Rows of the bank.
    """
    np.savez(
        staging / RARE_ROWS_FILE,
        bank_sha256=np.array(describe_file(staging / INDEX_FILE).sha256),
        rare=rare_rows(np.bincount(used.reshape(-1), minlength=rows)),
        shares=_left_out_shares(used, rows),
    )


def forget_shares(staging: Path, bundle: Bundle) -> None:
    """Discard the known share of rare rows, so that it is learned again when watching begins.

    Args:
        staging: A copy of the bundle that is being changed.
        bundle: The bundle, in that precision.

    Raises:
        BundleError: The file is missing, changed or damaged.
    """
    if not bundle.has(RARE_ROWS_FILE):
        return
    replace_arrays(
        staging / RARE_ROWS_FILE, {**read_arrays(bundle.file(RARE_ROWS_FILE)), "shares": np.empty(0)}
    )


def usage_sample(images: int) -> slice:
    """Evenly spaced indices of the images whose row usage is recorded."""
    return slice(None, None, max(1, -(-images // _USAGE_IMAGES)))


def columns(found: Sequence[Mapping[str, float]]) -> dict[str, NDArray[np.float64]]:
    """Collect per-image quantities into one array per quantity, skipping images without it."""
    names = dict.fromkeys(name for one in found for name in one)
    return {name: np.array([one[name] for one in found if name in one]) for name in names}


def rare_rows_of(bundle: Bundle) -> NDArray[np.bool_] | None:
    """bool [rows], the bank's rows that were rarely used at fit; None if not known for this bank.

    Raises:
        BundleError: The file is missing, changed or damaged.
    """
    stored = rare_rows_file(bundle)
    return np.asarray(stored["rare"], np.bool_) if stored else None


def rare_rows_file(bundle: BundleFiles[ProductManifest]) -> dict[str, NDArray[Any]]:
    """The stored arrays of rare rows; empty if they belong to another bank, as after teaching.

    Raises:
        BundleError: The file is missing, changed or damaged.
    """
    if not bundle.has(RARE_ROWS_FILE):
        return {}
    rows = bundle.manifest.bank.rows if isinstance(bundle.manifest, Manifest) else "rows"
    with open_arrays(bundle.file(RARE_ROWS_FILE)) as stored:
        bank = str(stored.array("bank_sha256", TEXT))
        if bank != bundle.manifest.files[INDEX_FILE].sha256:
            return {}
        rare, shares = (
            stored.array("rare", TRUTH, rows),
            stored.array("shares", FLOAT, "images", low=0, high=1),
        )
        return {"bank_sha256": np.array(bank), "rare": rare, "shares": shares}


def rows_used(
    embeddings: NDArray[np.float32], images: Sequence[str], bank: Bank, progress: Progress = silent
) -> NDArray[np.int64]:
    """The bank rows that images use: int64 [images, patches], the index of every patch's nearest row.

    A patch in the bank, or next to one, would find its own image. Rows from the image itself are skipped, so
    that the result is as for a new image.

    Args:
        embeddings: float32 [images, patches, dims].
        images: Their names, as in the bank's sources.
        bank: The memory bank.
        progress: Progress callback, called with the number of images searched, stage ``usage``.
    """
    numbers = {name: number for number, name in enumerate(bank.sources.images)}
    used = np.empty(embeddings.shape[:2], np.int64)
    rows = None
    for image, name in enumerate(images):
        _, used[image] = bank.search(embeddings[image])
        own = bank.sources.image == numbers.get(name, -1)
        found = own[used[image]]
        if found.any() and not own.all():
            rows = bank.rows if rows is None else rows
            used[image, found] = _nearest_of_others(embeddings[image, found], rows, own)
        progress("usage", image + 1, len(images))
    return used


def _nearest_of_others(
    queries: NDArray[np.float32], rows: NDArray[np.float32], own: NDArray[np.bool_]
) -> NDArray[np.int64]:
    distances = np.einsum("ij,ij->i", rows, rows) - 2 * queries @ rows.T
    distances[:, own] = np.inf
    return np.asarray(distances.argmin(axis=1))


def _left_out_shares(used: NDArray[np.int64], rows: int) -> NDArray[np.float64]:
    """For every image, the share of its patches whose nearest row is rare among the other images."""
    total = np.bincount(used.reshape(-1), minlength=rows)
    return np.array([rare_rows(total - np.bincount(one, minlength=rows))[one].mean() for one in used])


def read_drift_file(bundle: BundleFiles[ProductManifest], name: str) -> dict[str, NDArray[Any]]:
    """The quantities of a file, each float [images]; empty if there is no file, as in earlier versions.

    Raises:
        BundleError: The file is missing, changed or damaged.
    """
    if not bundle.has(name):
        return {}
    with open_arrays(bundle.file(name)) as stored:
        return {
            one: stored.array(one, FLOAT, f"values of {one}", low=-_LARGEST, high=_LARGEST) for one in stored
        }
