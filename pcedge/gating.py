"""The frame gate's limits: learned at fit from nominal pictures, kept in the bundle, handed to the gate."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from pcedge.bundle_files import BundleFiles
from pcedge.camera import GATE_MARGIN, GateLimits, learn_limits, nominal_values, read_image, write_image
from pcedge.errors import ImageError
from pcedge.manifest import GateInfo, ProductManifest

REFERENCE_FILE = "gate.png"
# What the pictures are in numbers, which drift is measured against.
DRIFT_FILE = "drift.npz"
# Enough to know how bright, sharp and steady the pictures are; the margin stands for what these do not show.
_MOST_IMAGES = 128


def learn_gate(paths: Sequence[Path], staging: Path) -> GateInfo:
    """Learn the limits from nominal pictures.

    What the pictures are goes to ``staging``, and the reference picture, if there is one.
    """
    images = sample(paths)
    limits, pictures = learn_limits(_readable(images))
    np.savez(staging / DRIFT_FILE, **cast(dict[str, Any], nominal_values(pictures)))
    if limits.reference_hw is not None:
        write_image(staging / REFERENCE_FILE, np.repeat(limits.reference_hw[:, :, np.newaxis], 3, axis=2))
    return GateInfo(
        images=len(images),
        margin=GATE_MARGIN,
        size_wh=limits.size_wh,
        brightness=limits.brightness,
        saturated=limits.saturated,
        sharpness=limits.sharpness,
        row_break=limits.row_break,
        flat_rows=limits.flat_rows,
        shift=None if limits.reference_hw is None else limits.shift,
    )


def gate_limits(bundle: BundleFiles[ProductManifest]) -> GateLimits | None:
    """The limits of a bundle's product; None for a bundle made before there were any.

    Raises:
        BundleError: The reference picture is missing or changed.
    """
    info = bundle.manifest.gate
    if info is None:
        return None
    reference_hw = None
    if info.shift is not None:
        reference_hw = np.ascontiguousarray(read_image(bundle.file(REFERENCE_FILE))[:, :, 0])
    return GateLimits(
        size_wh=info.size_wh,
        brightness=info.brightness,
        saturated=info.saturated,
        sharpness=info.sharpness,
        row_break=info.row_break,
        flat_rows=info.flat_rows,
        shift=info.shift or 0.0,
        reference_hw=reference_hw,
    )


def sample(paths: Sequence[Path]) -> list[Path]:
    """Pictures spread evenly over all of them."""
    step = max(1, -(-len(paths) // _MOST_IMAGES))
    return list(paths[::step])


def _readable(paths: Sequence[Path]) -> Iterator[NDArray[np.uint8]]:
    for path in paths:
        try:
            yield read_image(path)
        except ImageError:
            continue  # gone since it was learned from
