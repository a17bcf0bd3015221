"""Export: the bundle's embedder as ONNX, proven on the golden frames, and as a TensorRT engine."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pcedge.bundles.bundle import EMBEDDER_FILE, Bundle
from pcedge.bundles.manifest import Precision
from pcedge.core.defaults import DEFAULT_BATCH
from pcedge.core.progress import Progress, silent
from pcedge.errors import BundleError, PcedgeError, RuntimeUnavailableError
from pcedge.export import Int8Kind
from pcedge.inspection.verification.certificate import Certificate, certify, keep_certificates
from pcedge.inspection.verification.export_proof import Proof
from pcedge.methods.patchcore.exporting import export_embedder, prove_embedder

from .engines import export_engine
from .precisions import add_precisions, find_images


@dataclass(frozen=True)
class ExportResult:
    """What an export made.

    Attributes:
        bundle: The bundle with the exported files.
        certificates: What was proved, one entry a runtime and precision.
        engines: The TensorRT engines that were built, as names within the bundle.
        engine_problem: Why no engine was built although one was asked for.
        without_search: Why an engine holds the embedder alone, if one does, so that the processor searches.
        unsaved: Why a certificate could not be kept, if it could not; what was exported is in place.
    """

    bundle: Bundle
    certificates: tuple[Certificate, ...]
    engines: tuple[str, ...] = ()
    engine_problem: RuntimeUnavailableError | None = None
    without_search: PcedgeError | None = None
    unsaved: BundleError | None = None


def export_bundle(
    bundle: Bundle,
    *,
    trt: bool = False,
    batch: int = DEFAULT_BATCH,
    precisions: Sequence[Precision] = (),
    images: Path | None = None,
    keep_onnx: bool = False,
    progress: Progress = silent,
) -> ExportResult:
    """Write the embedder as ONNX into a bundle and prove that it scores like the reference.

    The file has operators and fixed shapes that TensorRT accepts, whether an engine is built or not. Beside
    it lies the search for GPUs, a few hundred bytes that make one network of the two.

    With ``precisions``, also write the network in these, each with a bank and a threshold of its own. With
    ``trt``, also build an engine for this machine: of these precisions, or of float32 where none is named.

    An ONNX file already there is used as it is where something else is made of it, so that this needs no
    PyTorch on the device; so is a precision already there where an engine is made of it and no images are
    named. Where TensorRT is not present, the rest still succeeds and the result says what is missing.

    Args:
        bundle: As ``fit`` made it; replaced whole, or not at all.
        trt: Whether to build a TensorRT engine.
        batch: Largest batch that the engine is to take.
        precisions: ``fp16``, ``int8``.
        images: The good images that the bundle was fitted on, if they are not where its name says.
        keep_onnx: Whether an ONNX file already there is used as it is in any case.
        progress: Called with the stages ``export``, ``engine`` and those of a fit.

    Raises:
        ExportError: The exported network is invalid, or a stage differs above the tolerance.
        MissingExtraError: PyTorch or onnx is not installed.
        OptionError: The images for another precision are not there.
    """
    int8_for: Int8Kind = "tensorrt" if trt else "cpu"
    missing = [one for one in precisions if not (trt and images is None and _is_there(bundle, one, int8_for))]
    dataset = find_images(bundle, images) if missing else None
    if bundle.has(EMBEDDER_FILE) and (trt or precisions or keep_onnx):
        proof = prove_embedder(bundle)
    else:
        bundle, proof = export_embedder(bundle, progress)
    if dataset is not None:
        bundle = add_precisions(bundle, missing, dataset, int8_for=int8_for, progress=progress)
    proofs = [proof, *(prove_embedder(bundle.in_precision(one)) for one in precisions)]
    engines: list[str] = []
    problem = without_search = None
    if trt:
        try:
            for one in precisions or ("fp32",):
                built = export_engine(bundle, one, batch, progress)
                bundle = built.bundle
                engines.append(built.name)
                proofs.append(built.proof)
                without_search = built.without_search or without_search
        except RuntimeUnavailableError as error:
            problem = error
    certificates, unsaved = _certify(bundle, proofs)
    return ExportResult(bundle, certificates, tuple(engines), problem, without_search, unsaved)


def _is_there(bundle: Bundle, precision: Precision, int8_for: Int8Kind) -> bool:
    """Whether a bundle has a precision that an engine can be built of."""
    if precision not in bundle.precisions:
        return False
    return bundle.in_precision(precision).manifest.embedding.int8_for in (None, int8_for)


def _certify(bundle: Bundle, proofs: list[Proof]) -> tuple[tuple[Certificate, ...], BundleError | None]:
    """State what was proved, of the bundle as it is now, and keep it where that can be done."""
    certificates: list[Certificate] = []
    unsaved = None
    for proof in proofs:
        variant = bundle.in_precision(proof.precision)
        certificate = certify(variant, proof.runtime, proof.device, proof.parity, proof.frame_ms)
        unsaved = keep_certificates(variant, certificate) or unsaved
        certificates.append(certificate)
    return tuple(certificates), unsaved
