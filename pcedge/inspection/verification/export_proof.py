"""Verification of a runtime during export, before anything is written to the bundle."""

from typing import NamedTuple

from pcedge.bundles.bundle import Bundle
from pcedge.bundles.manifest import Precision
from pcedge.errors import ExportError
from pcedge.export import Runtime
from pcedge.inspection.patchcore_detector import Inspector

from .golden import read_golden
from .parity import Parity, measure_frame_ms, measure_parity


class Proof(NamedTuple):
    """The parity of a runtime with the reference, and its time from an image to its verdict."""

    precision: Precision
    runtime: str
    device: str
    parity: Parity
    frame_ms: float


def prove(bundle: Bundle, runtime: Runtime, kind: str, device: str) -> Proof:
    """Compare a runtime with the reference, and measure its time.

    Raises:
        ExportError: It differs by more than the tolerance, or changes a verdict.
    """
    inspector, parity = require_parity(bundle, runtime)
    frame_ms = measure_frame_ms(inspector, read_golden(bundle))
    return Proof(bundle.manifest.precision, kind, device, parity, frame_ms)


def require_parity(bundle: Bundle, runtime: Runtime) -> tuple[Inspector, Parity]:
    """Compare a runtime with the reference.

    Raises:
        ExportError: It differs by more than the tolerance, or changes a verdict.
    """
    inspector = Inspector.of(bundle.manifest, runtime, bundle.open_bank())
    parity = measure_parity(inspector, read_golden(bundle), bundle.manifest.precision)
    if not parity.holds:
        raise ExportError(
            f"{parity.runtime} does not score like the reference on the golden frames: {parity.failure()}.",
            "Nothing was written. Another version of the runtime, or another --backbone, may do better.",
        )
    return inspector, parity
