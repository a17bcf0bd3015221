"""Proof that a runtime may stand in for the reference, before what it runs becomes part of a bundle."""

from typing import NamedTuple

from pcedge.bundle import EMBEDDER_FILE, Bundle
from pcedge.certificate import Certificate, certify, keep_certificates
from pcedge.errors import BundleError, ExportError
from pcedge.export import OnnxRuntime, Runtime
from pcedge.golden import read_golden
from pcedge.inspector import Inspector
from pcedge.manifest import Precision
from pcedge.parity import Parity, measure_frame_ms, measure_parity


class Proof(NamedTuple):
    """What was proved of a runtime: parity holds, and a frame takes so long."""

    precision: Precision
    runtime: str
    device: str
    parity: Parity
    frame_ms: float


def prove_onnx(bundle: Bundle) -> Proof:
    """Prove the exported file on the processor."""
    with OnnxRuntime(bundle.file(EMBEDDER_FILE), "cpu") as runtime:
        return prove(bundle, runtime, "onnx", "cpu")


def prove(bundle: Bundle, runtime: Runtime, kind: str, device: str) -> Proof:
    """Compare a runtime with the reference, and take its time.

    Raises:
        ExportError: It differs above the tolerance, or changes a verdict.
    """
    inspector = Inspector.of(bundle.manifest, runtime, bundle.open_bank())
    parity = require_parity(bundle, inspector)
    frame_ms = measure_frame_ms(inspector, read_golden(bundle))
    return Proof(bundle.manifest.precision, kind, device, parity, frame_ms)


def require_parity(bundle: Bundle, inspector: Inspector) -> Parity:
    """Compare an inspector with the reference.

    Raises:
        ExportError: It differs above the tolerance, or changes a verdict.
    """
    parity = measure_parity(inspector, read_golden(bundle), bundle.manifest.precision)
    if not parity.holds:
        raise ExportError(
            f"{parity.runtime} does not score like the reference on the golden frames: {parity.failure()}.",
            "Nothing was written. Another version of the runtime, or another --backbone, may do better.",
        )
    return parity


def certify_proofs(bundle: Bundle, proofs: list[Proof]) -> tuple[tuple[Certificate, ...], BundleError | None]:
    """State what was proved, of the bundle as it is now, and keep it where that can be done.

    Returns:
        The certificates, and why one could not be kept, which is no reason to stop.
    """
    certificates: list[Certificate] = []
    unsaved = None
    for proof in proofs:
        variant = bundle.in_precision(proof.precision)
        certificate = certify(variant, proof.runtime, proof.device, proof.parity, proof.frame_ms)
        unsaved = keep_certificates(variant, certificate) or unsaved
        certificates.append(certificate)
    return tuple(certificates), unsaved
