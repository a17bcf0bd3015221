"""The evidence behind a bundle's thresholds, kept so that they can be found anew after the bank has grown.

Thresholds come from the scores of good images that their bank had not seen. When rows are added to the bank,
those scores shrink, and without the images nobody could say by how much; with the distance of every patch,
and the embeddings of the patches that lie farthest off, it is a matter of a few small searches.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pcedge.bundles.bundle import Bundle
from pcedge.bundles.manifest import ThresholdInfo
from pcedge.core.npz import open_arrays
from pcedge.core.scoring import anomaly_map

from .conformal import Rates, smallest_rate
from .cross_validation import HeldOut, ImageScores, nameless_bank
from .limits import find_limits, without_proof

CALIBRATION_FILE = "calibration.npz"


@dataclass(frozen=True, eq=False)
class HeldOutEvidence:
    """Good images that a bank had not seen, and how far their patches lay from it.

    Attributes:
        names: The images, as the manifest names them.
        groups: The group each image was taken with; its own name where images stand alone.
        held_out: What they scored.
        grid_hw: Grid of patches.
        map_size: Side of the anomaly map in pixels.
        learned: Name to ``content_digest`` of the files that the bank was learned from.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    held_out: HeldOut
    grid_hw: tuple[int, int]
    map_size: int
    learned: dict[str, str]

    @property
    def grouped(self) -> bool:
        """Whether images were taken together."""
        return len(set(self.groups)) < len(self.names)

    @property
    def units(self) -> int:
        """How many images there are, those of a group counted as one."""
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
        """The thresholds that these scores give.

        Args:
            rates: At which rates.
            method: How the scores were obtained, in words.
            whole: Whether the bank keeps all patches.

        Raises:
            OptionError: The images do not support a rate that was asked for.
        """
        return find_limits(
            self.names,
            self.scores,
            self.map_peaks,
            rates,
            method,
            groups=self.groups,
            folds=self.held_out.folds,
            whole=whole,
        )

    def limits_again(self, limits: ThresholdInfo, *, whole: bool = False) -> ThresholdInfo:
        """Thresholds as they were, at the same rates, for scores that have changed since.

        Where images were left out, so that the rest no longer supports a rate, it becomes the smallest that
        does.

        Args:
            limits: As they were.
            whole: Whether the bank keeps all patches.
        """
        rate = max(limits.false_reject_rate, smallest_rate(self.units))
        review = limits.review_rate if limits.review_rate is not None and limits.review_rate > rate else None
        found = self.limits(Rates(rate, review), limits.method, whole=whole)
        told = {name: getattr(limits, name) for name in ("images", "index", "calibration", "grouped_by")}
        found = msgspec.structs.replace(found, **told)
        return without_proof(found, limits.guarantee) if limits.proven_rate is None else found

    def after_adding(self, rows: NDArray[np.float32]) -> "HeldOutEvidence":
        """The same images once these rows are in the bank too.

        Their scores and map peaks are never below what scoring the images again would give, and nearly always
        the same: distances of the patches whose embeddings are kept are exact, all others stay as they were,
        which they can only fall below. Adding rows in two steps gives what adding them at once does.

        (Scores that neighbours re-weight, the paper's equation 7, keep the weight they had: they are
        estimates then, not bounds.)

        Args:
            rows: float32 [n, dims]. None of them may come from one of these images: see ``without``.
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
        """The same but for some images, such as those that the bank is now to learn from."""
        kept = [number for number, name in enumerate(self.names) if name not in names]
        return replace(
            self,
            names=tuple(self.names[number] for number in kept),
            groups=tuple(self.groups[number] for number in kept),
            held_out=replace(self.held_out, scored=self.held_out.scored.take(kept)),
        )

    def write(self, directory: Path) -> None:
        """Write ``calibration.npz`` into a directory, in place of one that may be there."""
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
        path.unlink(missing_ok=True)  # perhaps a link to a file in use, not to be written into
        np.savez(path, **arrays)


def read_evidence(bundle: Bundle) -> HeldOutEvidence | None:
    """Read what a bundle's thresholds rest on; None if it was made before that was kept.

    Raises:
        BundleError: The file is missing, changed, or not what it should be.
    """
    if not bundle.has(CALIBRATION_FILE):
        return None
    return read_evidence_file(bundle.file(CALIBRATION_FILE))


def read_evidence_file(path: Path) -> HeldOutEvidence:
    """Read a file that ``HeldOutEvidence.write`` wrote.

    Raises:
        BundleError: The file is missing, or not what it should be.
    """
    with open_arrays(path) as stored:
        height, width = stored["grid_hw"].tolist()
        scored = ImageScores(
            stored["scores"],
            stored["map_peaks"],
            stored["squared_distances"],
            stored["farthest"],
            stored["embeddings"],
        )
        return HeldOutEvidence(
            tuple(stored["names"].tolist()),
            tuple(stored["groups"].tolist()),
            HeldOut(scored, int(stored["folds"])),
            (height, width),
            int(stored["map_size"]),
            dict(zip(stored["learned"].tolist(), stored["learned_digests"].tolist(), strict=True)),
        )
