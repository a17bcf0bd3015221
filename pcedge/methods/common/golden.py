"""Golden frames of a baseline: a few images with the float32 reference's results."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import FLOAT
from pcedge.camera import read_image, write_image
from pcedge.core.npz import open_arrays
from pcedge.errors import BundleError, ExportError
from pcedge.inspection.verification.golden import FOLDER
from pcedge.inspection.verification.parity import TOLERANCE
from pcedge.thresholds.verdict import Thresholds

from .bundle import BaselineBundle
from .inspector import BaselineInspector

_SCORES_FILE = "scores.npz"


def write_golden(
    directory: Path, frames: Mapping[str, NDArray[np.uint8]], inspector: BaselineInspector
) -> None:
    """Run the reference on images and store both below ``directory``/golden."""
    folder = directory / FOLDER
    folder.mkdir()
    results = [inspector.stages(image) for image in frames.values()]
    for name, image in frames.items():
        write_image(folder / f"{name}.png", image)
    np.savez(
        folder / _SCORES_FILE,
        names=np.array(list(frames), np.str_),
        cells=np.stack([scores.cells for scores in results]),
        score_map=np.stack([scores.score_map for scores in results]),
        score=np.array([scores.score for scores in results]),
    )


def require_parity(bundle: BaselineBundle, inspector: BaselineInspector) -> float:
    """Compare an inspector with the reference on the golden frames, including preprocessing.

    Returns:
        The largest difference of a cell's score, a map's value or an image score, as a share of the largest
        of that frame or of the threshold, whichever is larger.

    Raises:
        BundleError: The bundle has no golden frames, or a file is missing or changed.
        ExportError: The difference is above the tolerance, or a verdict changes.
    """
    worst = 0.0
    limit, map_limit = bundle.manifest.threshold.score, bundle.manifest.threshold.map
    for name, expected in _read(bundle).items():
        found = inspector.stages(read_image(bundle.file(f"{FOLDER}/{name}.png")))
        pairs = (
            (found.cells, expected["cells"], map_limit),
            (found.score_map, expected["score_map"], map_limit),
            (np.float32(found.score), expected["score"], limit),
        )
        # A training image may have a score of zero.
        for ours, reference, usual in pairs:
            scale = max(float(np.abs(reference).max()), usual, float(np.finfo(np.float32).tiny))
            worst = max(worst, float(np.abs(ours - reference).max()) / scale)
        wanted = float(expected["score"])
        # A threshold may equal the score of a golden frame, except for the last bit.
        tied = abs(wanted - limit) <= TOLERANCE * abs(limit)
        flipped = not tied and bool(Thresholds(limit).flips(found.score, wanted).any())
        if not worst <= TOLERANCE or flipped:
            raise ExportError(
                f"{inspector.runtime.name} does not score like the reference on the golden frame {name}: "
                f"it differs by {worst:.1e} of the largest score, where {TOLERANCE:.0e} is accepted.",
                "Nothing was changed. Another --runtime, or another version of this one, may do better.",
            )
    return worst


def _read(bundle: BaselineBundle) -> dict[str, dict[str, NDArray[np.float32]]]:
    if not bundle.has(f"{FOLDER}/{_SCORES_FILE}"):
        raise BundleError(
            f"The bundle {bundle.directory} has no golden frames, so nothing can be proved of it.",
            "Fit it again, or get it whole from its source.",
        )
    with open_arrays(bundle.file(f"{FOLDER}/{_SCORES_FILE}")) as stored:
        names = stored.texts("names", "frames")
        arrays = {
            "cells": stored.array("cells", FLOAT, "frames", "cells"),
            "score_map": stored.array("score_map", FLOAT, "frames", "map height", "map width"),
            "score": stored.array("score", FLOAT, "frames"),
        }
    return {name: {key: values[i] for key, values in arrays.items()} for i, name in enumerate(names)}
