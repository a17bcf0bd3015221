"""Frame gate limits: learned at fit from nominal images, written to and read from the bundle."""

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
# Image statistics of nominal images, the reference for drift.
DRIFT_FILE = "drift.npz"
# Enough images to know brightness, sharpness and steadiness; the margin covers the rest.
_MOST_IMAGES = 128


def learn_gate(paths: Sequence[Path], staging: Path) -> GateInfo:
    """Learn the limits from nominal images.

    Image statistics and the reference image, if there is one, are written to ``staging``.
    """
    limits, pictures = learn_limits(_readable(sample(paths)))
    return write_gate(staging, limits, nominal_values(pictures), images=len(pictures.measures))


def write_gate(
    staging: Path, limits: GateLimits, values: Mapping[str, NDArray[np.float64]], *, images: int
) -> GateInfo:
    """Write the files of the limits, replacing existing ones.

    Args:
        staging: The bundle's directory.
        limits: The learned limits.
        values: Statistics of the images that the limits were learned from, for drift.
        images: Number of these images.
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
    """Write the statistics of nominal images, the reference for drift, replacing existing ones."""
    replace_arrays(staging / DRIFT_FILE, values)


def gate_limits(bundle: BundleFiles[ProductManifest]) -> GateLimits | None:
    """The frame gate limits of a bundle; None in bundles of versions without them.

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
    """Evenly spaced images."""
    step = max(1, -(-len(paths) // _MOST_IMAGES))
    return list(paths[::step])


def _readable(paths: Sequence[Path]) -> Iterator[NDArray[np.uint8]]:
    for path in paths:
        try:
            yield read_image(path)
        except ImageError:
            continue  # removed since the fit
