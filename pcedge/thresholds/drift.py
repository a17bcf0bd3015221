"""The reference for drift detection, at the threshold that a camera uses."""

from math import exp, lgamma, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcedge.bundles.drift_reference import columns, rare_rows_file, read_drift_file
from pcedge.bundles.files import BundleFiles
from pcedge.bundles.gate_files import DRIFT_FILE
from pcedge.bundles.manifest import ProductManifest
from pcedge.camera import RARE_ROWS, USUAL_REJECTS, DriftReference, Verdict, score_values

from .verdict import Thresholds

# Probability that the held-out images understate the share of good parts that are NG.
_CHANCE = 0.001
_HIGHEST_RATE = 0.9


def drift_reference(
    bundle: BundleFiles[ProductManifest], *, threshold: float | None, masked: bool
) -> DriftReference:
    """The reference that a camera's frames are compared with.

    Args:
        bundle: The bundle that judges them, in the precision in use.
        threshold: Overrides the bundle's threshold.
        masked: Whether parts of the image are ignored, so that scores differ from those at fit.

    Raises:
        BundleError: The file is missing, changed or damaged.
    """
    info = bundle.manifest.threshold
    rule = Thresholds(info.score if threshold is None else threshold)
    scores = np.array(list(info.held_out.values()))
    rejects = max(USUAL_REJECTS, _highest_rate(rule.count(Verdict.NG, scores), len(scores)))
    values = read_drift_file(bundle, DRIFT_FILE)
    if not masked:
        values |= _score_columns(scores[rule.are(Verdict.OK, scores)])
        rare = rare_rows_file(bundle)
        values |= {RARE_ROWS: rare["shares"]} if rare else {}
    return DriftReference(values, rejects)


def _score_columns(scores: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    return columns([score_values(score) for score in scores.tolist()])


def _highest_rate(above: int, images: int) -> float:
    """Upper confidence bound (99.9 %) of the rate at which new good parts exceed the threshold.

    The number of held-out images above a conformal threshold is fixed in advance. Given that number, the rate
    follows a beta distribution (Vovk 2012, conditional validity); this is its quantile.
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
    """Binomial probability of at most this many successes."""
    ways = [lgamma(trials + 1) - lgamma(k + 1) - lgamma(trials - k + 1) for k in range(count + 1)]
    return sum(exp(one + k * log(rate) + (trials - k) * log(1 - rate)) for k, one in enumerate(ways))
