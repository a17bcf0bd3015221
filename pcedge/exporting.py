"""Export: the bundle's embedder as ONNX, proven on the golden frames, and as a TensorRT engine."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pcedge.bundle import BACKBONE_FILE, EMBEDDER_FILE, Bundle, edit_bundle, seal
from pcedge.certificate import Certificate, certify, keep_certificates
from pcedge.defaults import DEFAULT_BATCH
from pcedge.errors import BundleError, ExportError, MissingExtraError, RuntimeUnavailableError
from pcedge.export import (
    Int8Kind,
    OnnxRuntime,
    Runtime,
    TensorrtRuntime,
    build_engine,
    check_operators,
    engine_name,
    fixed_shapes,
    timing_cache_name,
    write_onnx,
)
from pcedge.feature_cache import default_cache_directory
from pcedge.golden import read_golden
from pcedge.inspector import Inspector
from pcedge.manifest import Precision
from pcedge.parity import Parity, measure_frame_ms, measure_parity
from pcedge.precision_export import add_precisions, find_images
from pcedge.progress import Progress, silent


@dataclass(frozen=True)
class ExportResult:
    """What an export made.

    Attributes:
        bundle: The bundle with the exported files.
        certificates: What was proved, one entry a runtime and precision.
        engines: The TensorRT engines that were built, as names within the bundle.
        engine_problem: Why no engine was built although one was asked for.
        unsaved: Why a certificate could not be kept, if it could not; what was exported is in place.
    """

    bundle: Bundle
    certificates: tuple[Certificate, ...]
    engines: tuple[str, ...] = ()
    engine_problem: RuntimeUnavailableError | None = None
    unsaved: BundleError | None = None


def export_bundle(
    bundle: Bundle,
    *,
    trt: bool = False,
    batch: int = DEFAULT_BATCH,
    precisions: Sequence[Precision] = (),
    images: Path | None = None,
    progress: Progress = silent,
) -> ExportResult:
    """Write the embedder as ONNX into a bundle and prove that it scores like the reference.

    The file has operators and fixed shapes that TensorRT accepts, whether an engine is built or not.

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
        progress: Told of the stages ``export``, ``engine`` and those of a fit.

    Raises:
        ExportError: The exported network is invalid, or a stage differs above the tolerance.
        MissingExtraError: PyTorch or onnx is not installed.
        OptionError: The images for another precision are not there.
    """
    int8_for: Int8Kind = "tensorrt" if trt else "cpu"
    missing = [one for one in precisions if not (trt and images is None and _is_there(bundle, one, int8_for))]
    dataset = find_images(bundle, images) if missing else None
    if bundle.has(EMBEDDER_FILE) and (trt or precisions):
        proof = _prove_onnx(bundle)
    else:
        bundle, proof = _export_onnx(bundle, progress)
    if dataset is not None:
        bundle = add_precisions(bundle, missing, dataset, int8_for=int8_for, progress=progress)
    proofs = [proof, *(_prove_onnx(bundle.in_precision(one)) for one in precisions)]
    engines: list[str] = []
    problem = None
    if trt:
        try:
            for one in precisions or ("fp32",):
                bundle, engine, proof = _export_engine(bundle, one, batch, progress)
                engines.append(engine)
                proofs.append(proof)
        except RuntimeUnavailableError as error:
            problem = error
    certificates, unsaved = _certify(bundle, proofs)
    return ExportResult(bundle, certificates, tuple(engines), problem, unsaved)


class _Proof(NamedTuple):
    precision: Precision
    runtime: str
    device: str
    parity: Parity
    frame_ms: float


def _is_there(bundle: Bundle, precision: Precision, int8_for: Int8Kind) -> bool:
    """Whether a bundle has a precision that an engine can be built of."""
    if precision not in bundle.precisions:
        return False
    return bundle.in_precision(precision).manifest.embedding.int8_for in (None, int8_for)


def _export_onnx(bundle: Bundle, progress: Progress) -> tuple[Bundle, _Proof]:
    with edit_bundle(bundle) as staging:
        progress("export", 0, 2)
        path = staging / EMBEDDER_FILE
        _write_embedder(bundle, path)
        check_operators(path)
        fixed_shapes(path, batch=1)
        progress("export", 1, 2)
        with OnnxRuntime(path, "cpu") as runtime:
            proof = _prove(bundle, runtime, "onnx", "cpu")
        manifest = seal(staging, bundle.manifest)
    progress("export", 2, 2)
    return Bundle(bundle.directory, manifest), proof


def _export_engine(
    bundle: Bundle, precision: Precision, batch: int, progress: Progress
) -> tuple[Bundle, str, _Proof]:
    """Build an engine in a step of its own: should that fail, the ONNX file stays."""
    variant = bundle.in_precision(precision)
    name = engine_name(variant.file(EMBEDDER_FILE))
    with edit_bundle(bundle) as staging:
        progress("engine", 0, 2)
        folder = staging / variant.directory.relative_to(bundle.directory)
        build_engine(
            folder / EMBEDDER_FILE,
            folder / name,
            image_size=bundle.manifest.preprocessing.input_size,
            max_batch=batch,
            timing_cache=default_cache_directory() / "tensorrt" / timing_cache_name(),
        )
        progress("engine", 1, 2)
        with TensorrtRuntime(folder / name) as runtime:
            proof = _prove(variant, runtime, "tensorrt", "cuda")
        if folder != staging:
            seal(folder, variant.manifest)
        manifest = seal(staging, bundle.manifest)
    progress("engine", 2, 2)
    return Bundle(bundle.directory, manifest), (folder / name).relative_to(staging).as_posix(), proof


def _write_embedder(bundle: Bundle, path: Path) -> None:
    try:
        import torch
    except ImportError:
        raise MissingExtraError("torch", "fit", "Exporting") from None
    from pcedge.embedder import restore_embedder

    embedder = restore_embedder(bundle.manifest, bundle.file(BACKBONE_FILE))
    size = bundle.manifest.preprocessing.input_size
    write_onnx(embedder, torch.zeros(2, 3, size, size), path)


def _prove_onnx(bundle: Bundle) -> _Proof:
    with OnnxRuntime(bundle.file(EMBEDDER_FILE), "cpu") as runtime:
        return _prove(bundle, runtime, "onnx", "cpu")


def _prove(bundle: Bundle, runtime: Runtime, kind: str, device: str) -> _Proof:
    """Compare a runtime with the reference, and take its time.

    Raises:
        ExportError: It differs above the tolerance, or changes a verdict.
    """
    inspector = Inspector.of(bundle.manifest, runtime, bundle.open_bank())
    frames = read_golden(bundle)
    parity = measure_parity(inspector, frames, bundle.manifest.precision)
    if not parity.holds:
        raise ExportError(
            f"{parity.runtime} does not score like the reference on the golden frames: {parity.failure()}.",
            "Nothing was written. Another version of the runtime, or another --backbone, may do better.",
        )
    return _Proof(bundle.manifest.precision, kind, device, parity, measure_frame_ms(inspector, frames))


def _certify(bundle: Bundle, proofs: list[_Proof]) -> tuple[tuple[Certificate, ...], BundleError | None]:
    """State what was proved, of the bundle as it is now, and keep it where that can be done."""
    certificates: list[Certificate] = []
    unsaved = None
    for proof in proofs:
        variant = bundle.in_precision(proof.precision)
        certificate = certify(variant, proof.runtime, proof.device, proof.parity, proof.frame_ms)
        unsaved = keep_certificates(variant, certificate) or unsaved
        certificates.append(certificate)
    return tuple(certificates), unsaved
