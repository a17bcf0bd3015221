"""What drift is measured against: kept at fit, handed to the monitor when watching begins."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from math import exp, lgamma, log
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from pcedge.atomic import replace_file
from pcedge.banks import INDEX_FILE, Bank
from pcedge.bundle import Bundle, describe_file
from pcedge.camera import (
    RARE_ROWS,
    USUAL_REJECTS,
    DriftReference,
    Look,
    NominalPictures,
    picture_values,
    score_values,
)
from pcedge.errors import BundleError
from pcedge.row_usage import rare_rows

DRIFT_FILE = "drift.npz"
# Pictures of which it is kept which bank rows are the nearest: their search costs the fit some time.
_USAGE_IMAGES = 100
_BANK, _RARE = "bank_sha256", "rare"
# The share of NG that good parts explain is exceeded by chance of the held-out images this often.
_CHANCE = 0.001
_HIGHEST_RATE = 0.9


def write_drift(staging: Path, pictures: NominalPictures, used: NDArray[np.int64], rows: int) -> None:
    """Keep in a bundle what its pictures are and which rows of its bank they use.

    Args:
        staging: The bundle's directory, with the bank's file in it.
        pictures: What nominal pictures were found to be.
        used: As :func:`rows_used` gives it.
        rows: Rows of the bank.
    """
    arrays: dict[str, Any] = dict(_picture_arrays(pictures))
    arrays[RARE_ROWS] = _left_out_shares(used, rows)
    arrays[_RARE] = rare_rows(np.bincount(used.reshape(-1), minlength=rows))
    arrays[_BANK] = np.array(describe_file(staging / INDEX_FILE).sha256)
    content = BytesIO()
    np.savez(content, **arrays)
    replace_file(staging / DRIFT_FILE, content.getvalue())


def usage_sample(images: int) -> slice:
    """Of so many images those whose use of rows is kept, evenly spread."""
    return slice(None, None, max(1, -(-images // _USAGE_IMAGES)))


def drift_reference(bundle: Bundle, *, threshold: float | None, masked: bool) -> DriftReference:
    """What a camera's frames are compared with.

    Args:
        bundle: What they are judged as, in the precision that is used.
        threshold: Used instead of the bundle's own.
        masked: Whether parts of the picture do not count, so that scores are others than at fit.

    Raises:
        BundleError: The file is missing, changed or damaged.
    """
    info = bundle.manifest.threshold
    limit = info.score if threshold is None else threshold
    scores = np.array(list(info.held_out.values()))
    rejects = max(USUAL_REJECTS, _highest_rate(int((scores > limit).sum()), len(scores)))
    values = {
        name: array
        for name, array in _read(bundle).items()
        if name not in {_RARE, _BANK} and not (masked and name == RARE_ROWS)
    }
    if not masked:
        values |= _columns([score_values(float(score)) for score in scores if score <= limit])
    return DriftReference(values, rejects)


def rare_rows_of(bundle: Bundle) -> NDArray[np.bool_] | None:
    """bool [rows], the bank's rows that were rarely used at fit; None where that is not known of this bank.

    Raises:
        BundleError: The file is missing, changed or damaged.
    """
    stored = _read(bundle)
    bank = bundle.manifest.files[INDEX_FILE].sha256
    if str(stored.get(_BANK, "")) != bank or len(stored[_RARE]) != bundle.manifest.bank.rows:
        return None
    return stored[_RARE].astype(np.bool_)


def rows_used(embeddings: NDArray[np.float32], images: Sequence[str], bank: Bank) -> NDArray[np.int64]:
    """The rows of a bank that images use: int64 [images, patches], the number of every patch's nearest row.

    A patch that was taken into the bank, or lies beside one that was, would find its own image: rows of the
    image itself are passed over, as for a picture that comes later.

    Args:
        embeddings: float32 [images, patches, dims].
        images: Their names, as in the bank's sources.
        bank: The rows.
    """
    numbers = {name: number for number, name in enumerate(bank.sources.images)}
    used = np.empty(embeddings.shape[:2], np.int64)
    for image, name in enumerate(images):
        _, used[image] = bank.search(embeddings[image])
        own = bank.sources.image == numbers.get(name, -1)
        found = own[used[image]]
        if found.any() and not own.all():
            used[image, found] = _nearest_of_others(embeddings[image, found], bank.rows, own)
    return used


def _nearest_of_others(
    queries: NDArray[np.float32], rows: NDArray[np.float32], own: NDArray[np.bool_]
) -> NDArray[np.int64]:
    distances = np.einsum("ij,ij->i", rows, rows) - 2 * queries @ rows.T
    distances[:, own] = np.inf
    return np.asarray(distances.argmin(axis=1))


def _left_out_shares(used: NDArray[np.int64], rows: int) -> NDArray[np.float64]:
    """For every image the share of its patches on rows that are rare among the other images."""
    total = np.bincount(used.reshape(-1), minlength=rows)
    return np.array([rare_rows(total - np.bincount(one, minlength=rows))[one].mean() for one in used])


def _picture_arrays(pictures: NominalPictures) -> dict[str, NDArray[np.float64]]:
    offsets = pictures.offsets_xy or [None] * len(pictures.measures)
    sizes = {one.size_wh for one in pictures.measures}
    looks = [
        Look("", measures, offset, comparable=len(sizes) == 1)
        for measures, offset in zip(pictures.measures, offsets, strict=True)
    ]
    return _columns([picture_values(look) for look in looks])


def _columns(found: Sequence[Mapping[str, float]]) -> dict[str, NDArray[np.float64]]:
    names = dict.fromkeys(name for one in found for name in one)
    return {name: np.array([one[name] for one in found if name in one]) for name in names}


def _highest_rate(above: int, images: int) -> float:
    """The rate that a new good part exceeds the threshold at is at most this, but for a chance of 0.1 %.

    Given that so many of so many held-out images exceed it, which for a conformal threshold is decided
    beforehand, that rate follows a beta distribution (Vovk 2012, conditional validity); its quantile.
    """
    low, high = 0.0, _HIGHEST_RATE
    for _ in range(40):
        rate = (low + high) / 2
        if _at_most(above, images, rate) > _CHANCE:
            low = rate
        else:
            high = rate
    return high


def _at_most(count: int, trials: int, rate: float) -> float:
    """Probability of at most so many of so many trials."""
    ways = [lgamma(trials + 1) - lgamma(k + 1) - lgamma(trials - k + 1) for k in range(count + 1)]
    return sum(exp(one + k * log(rate) + (trials - k) * log(1 - rate)) for k, one in enumerate(ways))


def _read(bundle: Bundle) -> dict[str, NDArray[Any]]:
    """The arrays that were kept; none by a bundle made before there were any."""
    if not bundle.has(DRIFT_FILE):
        return {}
    path = bundle.file(DRIFT_FILE)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, TypeError, BadZipFile) as error:
        raise BundleError(f"{path} cannot be read ({error}).", "Fit again, or restore the file.") from error
