"""Export: the bundle's embedder as ONNX, proven on the golden frames, and as TensorRT engines."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pcedge.bundles.bundle import EMBEDDER_FILE, Bundle
from pcedge.bundles.manifest import INT8_TRT, Precision
from pcedge.core.defaults import DEFAULT_BATCH
from pcedge.core.progress import Progress, silent
from pcedge.errors import BundleError, PcedgeError, RuntimeUnavailableError
from pcedge.export import check_capabilities, rtx_version
from pcedge.inspection.verification.certificate import Certificate, certify, keep_certificates
from pcedge.inspection.verification.export_proof import Proof
from pcedge.methods.patchcore.exporting import export_embedder, prove_embedder

from .engines import export_engine
from .precisions import add_precisions, find_images
from .rtx_engines import accepted_by_rtx, export_rtx_engines


@dataclass(frozen=True)
class ExportResult:
    """What an export made.

    Attributes:
        bundle: The bundle with the exported files.
        certificates: What was proved, one entry a runtime and precision.
        engines: The TensorRT engines that were built, as names within the bundle.
        engine_problem: Why no engine was built although one was asked for.
        without_search: Why an engine holds the embedder alone, if one does, so that the processor searches.
        accepted: What NVIDIA's parser and builder accepted where no engine could be built; empty if they are
            not installed, or were not needed.
        unsaved: Why a certificate could not be kept, if it could not; what was exported is in place.
    """

    bundle: Bundle
    certificates: tuple[Certificate, ...]
    engines: tuple[str, ...] = ()
    engine_problem: RuntimeUnavailableError | None = None
    without_search: PcedgeError | None = None
    accepted: str = ""
    unsaved: BundleError | None = None


def export_bundle(
    bundle: Bundle,
    *,
    trt: bool = False,
    rtx_compute: Sequence[str] = (),
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
    With ``rtx_compute``, also build engines ahead of time, for the GPUs of other machines. For TensorRT, int8
    is another network than for processors, beside it.

    An ONNX file already there is used as it is where something else is made of it, so that this needs no
    PyTorch on the device; so is a precision already there where an engine is made of it and no images are
    named. Where TensorRT is not present, the rest still succeeds and the result says what is missing.

    Args:
        bundle: As ``fit`` made it; replaced whole, or not at all.
        trt: Whether to build a TensorRT engine. Where that cannot be done, TensorRT for RTX, if it is
            installed, parses and builds what the engine would be made of.
        rtx_compute: Compute capabilities to build engines of TensorRT for RTX for, ``("8.6", "8.9")``.
        batch: Largest batch that the engine is to take.
        precisions: ``fp16``, ``int8`` (``int8-trt`` where an engine is asked for).
        images: The good images that the bundle was fitted on, if they are not where its name says.
        keep_onnx: Whether an ONNX file already there is used as it is in any case.
        progress: Called with the stages ``export``, ``engine`` and those of a fit.

    Raises:
        ExportError: The exported network is invalid, or a stage differs above the tolerance.
        MissingExtraError: PyTorch or onnx is not installed.
        OptionError: The images for another precision are not there.
    """
    if rtx_compute and rtx_version() is not None:
        check_capabilities(rtx_compute)  # before the long work
    engines_wanted = trt or bool(rtx_compute)
    if engines_wanted:
        precisions = [_for_tensorrt(bundle, one) for one in precisions]
    made = [bundle.manifest.precision]  # and what an engine is to be built of as it is
    if engines_wanted and images is None:
        made = bundle.precisions
    missing = [one for one in precisions if one not in made]
    dataset = find_images(bundle, images) if missing else None
    if bundle.has(EMBEDDER_FILE) and (engines_wanted or precisions or keep_onnx):
        proof = prove_embedder(bundle)
    else:
        bundle, proof = export_embedder(bundle, progress)
    if dataset is not None:
        bundle = add_precisions(bundle, missing, dataset, progress=progress)
    others = [one for one in precisions if one != bundle.manifest.precision]
    proofs = [proof, *(prove_embedder(bundle.in_precision(one)) for one in others)]
    engines = _Engines(bundle, precisions or ("fp32",), batch, progress)
    if trt:
        engines.build_here()
    if rtx_compute:
        engines.build_ahead(rtx_compute)
    certificates, unsaved = _certify(engines.bundle, [*proofs, *engines.proofs])
    return ExportResult(
        engines.bundle,
        certificates,
        tuple(engines.names),
        engines.problem,
        engines.without_search,
        engines.accepted,
        unsaved,
    )


class _Engines:
    """Engines that are built one after the other; what cannot be built here is said, not raised."""

    def __init__(
        self, bundle: Bundle, precisions: Sequence[Precision], batch: int, progress: Progress
    ) -> None:
        self.bundle, self.names, self.proofs = bundle, list[str](), list[Proof]()
        self.problem: RuntimeUnavailableError | None = None
        self.without_search: PcedgeError | None = None
        self.accepted = ""
        self._precisions, self._batch, self._progress = precisions, batch, progress

    def build_here(self) -> None:
        """Build for this machine; without TensorRT or a GPU see what its parser and builder would say."""
        try:
            for one in self._precisions:
                built = export_engine(self.bundle, one, self._batch, self._progress)
                self.proofs.append(built.proof)
                self._add(built.bundle, built.name, built.without_search)
        except RuntimeUnavailableError as error:
            self.problem = error
            self.accepted = accepted_by_rtx(self.bundle, self._precisions, self._batch)

    def build_ahead(self, compute: Sequence[str]) -> None:
        """Build for the GPUs of other machines, which prove it."""
        try:
            for one in self._precisions:
                for built in export_rtx_engines(self.bundle, one, self._batch, compute, self._progress):
                    self._add(built.bundle, built.name, built.without_search)
        except RuntimeUnavailableError as error:
            self.problem = self.problem or error

    def _add(self, bundle: Bundle, name: str, without_search: PcedgeError | None) -> None:
        self.bundle = bundle
        self.names.append(name)
        self.without_search = without_search or self.without_search


def _for_tensorrt(bundle: Bundle, precision: Precision) -> Precision:
    """The precision that TensorRT takes: int8 for processors lies beside it, but for earlier versions'."""
    if precision != "int8":
        return precision
    there = "int8" in bundle.precisions
    if there and bundle.in_precision("int8").manifest.embedding.int8_for == "tensorrt":
        return "int8"
    return INT8_TRT


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
