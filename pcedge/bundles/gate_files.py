"""The frame gate's limits: learned at fit from nominal images, kept in the bundle, handed to the gate."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcedge.camera import GATE_MARGIN, GateLimits, learn_limits, nominal_values, read_image, write_image
from pcedge.core.npz import replace_arrays
from pcedge.errors import ImageError

from .files import BundleFiles
from .manifest import GateInfo, ProductManifest

REFERENCE_FILE = "gate.png"
# What the images are in numbers, which drift is measured against.
DRIFT_FILE = "drift.npz"
# Enough to know how bright, sharp and steady the images are; the margin stands for what these do not show.
_MOST_IMAGES = 128


def learn_gate(paths: Sequence[Path], staging: Path) -> GateInfo:
    """Learn the limits from nominal images.

    What the images are goes to ``staging``, and the reference image, if there is one.
    """
    limits, pictures = learn_limits(_readable(sample(paths)))
    return write_gate(staging, limits, nominal_values(pictures), images=len(pictures.measures))


def write_gate(
    staging: Path, limits: GateLimits, values: Mapping[str, NDArray[np.float64]], *, images: int
) -> GateInfo:
    """Write the limits' files, in place of those that may be there.

    Args:
        staging: The bundle's directory.
        limits: As they were learned.
        values: What the images are that they were learned from, for drift.
        images: How many these are.
    """
    write_values(staging, values)
    (staging / REFERENCE_FILE).unlink(missing_ok=True)
    if limits.reference_hw is not None:
        write_image(staging / REFERENCE_FILE, np.repeat(limits.reference_hw[:, :, np.newaxis], 3, axis=2))
    return GateInfo(
        images=images,
        margin=GATE_MARGIN,
        size_wh=limits.size_wh,
        brightness=limits.brightness,
        saturated=limits.saturated,
        sharpness=limits.sharpness,
        row_break=limits.row_break,
        flat_rows=limits.flat_rows,
        shift=None if limits.reference_hw is None else limits.shift,
    )


def write_values(staging: Path, values: Mapping[str, NDArray[np.float64]]) -> None:
    """Write what nominal images are, which drift is measured against, in place of what may be there."""
    replace_arrays(staging / DRIFT_FILE, values)


def gate_limits(bundle: BundleFiles[ProductManifest]) -> GateLimits | None:
    """The limits of a bundle's product; None for a bundle made before there were any.

    Raises:
        BundleError: The reference image is missing or changed.
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
