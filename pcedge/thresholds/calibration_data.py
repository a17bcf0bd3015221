"""Calibration data: held-out scores and distances, kept to update thresholds after the bank has grown.

Thresholds come from the scores of good images that the bank had not seen. When rows are added to the bank,
those scores shrink. To know by how much without the images, the bundle keeps the distance of every patch and
the embeddings of the farthest patches: a few small searches then give the new scores.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pcedge.banks import FLOAT, WHOLE, StoredArrays
from pcedge.bundles.bundle import Bundle
from pcedge.bundles.manifest import ThresholdInfo
from pcedge.core.npz import open_arrays
from pcedge.core.scoring import anomaly_map

from .conformal import Rates, smallest_rate
from .cross_validation import HeldOut, ImageScores, nameless_bank
from .leave_one_out import unproven
from .limits import find_limits, without_proof

CALIBRATION_FILE = "calibration.npz"
_LARGEST_GRID = 100_000


@dataclass(frozen=True, eq=False)
class HeldOutEvidence:
    """Held-out good images and the distances of their patches to the bank.

    Attributes:
        names: The images, as the manifest names them.
        groups: The group of each image; its own name for ungrouped images.
        held_out: Their scores.
        grid_hw: Grid of patches.
        map_size: Side of the anomaly map in pixels.
        learned: Name to ``content_digest`` of the files that the bank was fitted on.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    held_out: HeldOut
    grid_hw: tuple[int, int]
    map_size: int
    learned: dict[str, str]

    @property
    def grouped(self) -> bool:
        """Whether images come in groups."""
        return len(set(self.groups)) < len(self.names)

    @property
    def units(self) -> int:
        """Number of images, each group counted as one."""
        return len(set(self.groups))

    @property
    def scores(self) -> NDArray[np.float32]:
        """float32 [images], image scores."""
        return self.held_out.scores

    @property
    def map_peaks(self) -> NDArray[np.float32]:
        """float32 [images], the largest value of each anomaly map."""
        return self.held_out.map_peaks

    def limits(self, rates: Rates, method: str, *, whole: bool = False) -> ThresholdInfo:
        """The thresholds from these scores.

        Args:
            rates: The false-reject and review rates.
            method: How the scores were obtained, as a phrase.
            whole: Whether the bank keeps all patches.

        Raises:
            OptionError: There are too few images for a requested rate.
        """
        found = find_limits(
            self.names,
            self.scores,
            self.map_peaks,
            rates,
            method,
            groups=self.groups,
            folds=self.held_out.folds,
            whole=whole,
        )
        return found if self.held_out.folds else without_proof(found, unproven(found.false_reject_rate))

    def limits_again(self, limits: ThresholdInfo, *, whole: bool = False) -> ThresholdInfo:
        """Recompute thresholds at the same rates from scores that have changed.

        If images were left out and too few remain for a rate, the smallest supported rate is used.

        Args:
            limits: The previous thresholds.
            whole: Whether the bank keeps all patches.
        """
        rate = max(limits.false_reject_rate, smallest_rate(self.units))
        review = limits.review_rate if limits.review_rate is not None and limits.review_rate > rate else None
        found = self.limits(Rates(rate, review), limits.method, whole=whole)
        told = {name: getattr(limits, name) for name in ("images", "index", "calibration", "grouped_by")}
        found = msgspec.structs.replace(found, **told)
        return without_proof(found, limits.guarantee) if limits.proven_rate is None else found

    def after_adding(self, rows: NDArray[np.float32]) -> "HeldOutEvidence":
        """The held-out data after rows were added to the bank.

        Scores and map peaks are upper bounds of what scoring the images again would give, and nearly always
        equal to it. Distances of patches whose embeddings are kept are exact. All other distances stay
        unchanged; the true ones can only be smaller. Adding rows in two steps gives the same result as adding
        them at once.

        Scores re-weighted by neighbours (the paper's equation 7) keep their weight: they are estimates, not
        bounds.

        Args:
            rows: float32 [n, dims]. None may come from one of these images: see ``without``.
        """
        if not len(rows) or not len(self.names):
            return self
        scored = self.held_out.scored
        nearest, _ = nameless_bank(rows).search(scored.embeddings.reshape(-1, scored.embeddings.shape[-1]))
        kept = np.take_along_axis(scored.squared_distances, scored.farthest, axis=1)
        nearer = np.minimum(kept, nearest.reshape(kept.shape))
        distances = scored.squared_distances.copy()
        np.put_along_axis(distances, scored.farthest, nearer, axis=1)
        scores, peaks = scored.scores.copy(), scored.map_peaks.copy()
        for image in np.flatnonzero((nearer < kept).any(axis=1)):
            weight = scores[image] / scored.squared_distances[image].max()
            scores[image] = weight * distances[image].max()
            peaks[image] = anomaly_map(distances[image], self.grid_hw, self.map_size).max()
        grown = replace(scored, scores=scores, map_peaks=peaks, squared_distances=distances)
        return replace(self, held_out=replace(self.held_out, scored=grown))

    def without(self, names: Collection[str]) -> "HeldOutEvidence":
        """The held-out data without some images, such as those about to be added to the bank."""
        kept = [number for number, name in enumerate(self.names) if name not in names]
        return replace(
            self,
            names=tuple(self.names[number] for number in kept),
            groups=tuple(self.groups[number] for number in kept),
            held_out=replace(self.held_out, scored=self.held_out.scored.take(kept)),
        )

    def write(self, directory: Path) -> None:
        """Write ``calibration.npz`` into a directory, replacing an existing file."""
        scored = self.held_out.scored
        arrays: dict[str, Any] = {
            "names": np.array(self.names, np.str_),
            "groups": np.array(self.groups, np.str_),
            "folds": np.array(self.held_out.folds),
            "scores": scored.scores,
            "map_peaks": scored.map_peaks,
            "squared_distances": scored.squared_distances,
            "farthest": scored.farthest,
            "embeddings": scored.embeddings,
            "grid_hw": np.array(self.grid_hw),
            "map_size": np.array(self.map_size),
            "learned": np.array(list(self.learned), np.str_),
            "learned_digests": np.array(list(self.learned.values()), np.str_),
        }
        path = directory / CALIBRATION_FILE
        path.unlink(missing_ok=True)  # may be a hard link to a file in use: do not write into it
        np.savez(path, **arrays)


def read_evidence(bundle: Bundle) -> HeldOutEvidence | None:
    """Read the calibration data of a bundle; None in bundles of versions that did not keep it.

    Raises:
        BundleError: The file is missing, changed or invalid.
    """
    if not bundle.has(CALIBRATION_FILE):
        return None
    return read_evidence_file(bundle.file(CALIBRATION_FILE))


def read_learned(bundle: Bundle) -> dict[str, str]:
    """Name to ``content_digest`` of the files that a bundle was fitted on; empty if it does not say.

    Raises:
        BundleError: The file is missing, changed or invalid.
    """
    if not bundle.has(CALIBRATION_FILE):
        return {}
    with open_arrays(bundle.file(CALIBRATION_FILE)) as stored:
        return _learned(stored)


def read_evidence_file(path: Path) -> HeldOutEvidence:
    """Read a file that ``HeldOutEvidence.write`` wrote.

    Raises:
        BundleError: The file is missing or invalid.
    """
    with open_arrays(path) as stored:
        height, width = stored.array("grid_hw", WHOLE, 2, low=1, high=_LARGEST_GRID).tolist()
        scored = ImageScores(
            stored.array("scores", FLOAT, "images"),
            stored.array("map_peaks", FLOAT, "images"),
            stored.array("squared_distances", FLOAT, "images", height * width),
            stored.array("farthest", WHOLE, "images", "kept", low=0, high=height * width - 1),
            stored.array("embeddings", FLOAT, "images", "kept", "dims"),
        )
        return HeldOutEvidence(
            tuple(stored.texts("names", "images")),
            tuple(stored.texts("groups", "images")),
            HeldOut(scored, stored.whole("folds", low=0, high=1_000_000)),
            (height, width),
            stored.whole("map_size", low=1, high=_LARGEST_GRID),
            _learned(stored),
        )


def _learned(stored: StoredArrays) -> dict[str, str]:
    names, digests = (stored.texts(name, "learned") for name in ("learned", "learned_digests"))
    return dict(zip(names, digests, strict=True))
