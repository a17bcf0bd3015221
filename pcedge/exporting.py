"""Export: the bundle's embedder as ONNX, proven on the golden frames, and as a TensorRT engine."""

from dataclasses import dataclass
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from pcedge.bundle import BACKBONE_FILE, EMBEDDER_FILE, SEARCH_PART_FILE, Bundle, edit_bundle, seal
from pcedge.certificate import Certificate, certify, keep_certificates
from pcedge.defaults import DEFAULT_BATCH
from pcedge.errors import BundleError, ExportError, MissingExtraError, PcedgeError, RuntimeUnavailableError
from pcedge.export import (
    OnnxRuntime,
    OnnxSearchingRuntime,
    Runtime,
    TensorrtRuntime,
    TensorrtSearchingRuntime,
    build_engine,
    check_operators,
    engine_name,
    fixed_shapes,
    fuse,
    timing_cache_name,
    write_fused,
    write_onnx,
    write_search_part,
)
from pcedge.feature_cache import default_cache_directory
from pcedge.golden import read_golden
from pcedge.inspector import Inspector
from pcedge.parity import Parity, measure_frame_ms, measure_parity
from pcedge.progress import Progress, silent

# What a search without bounds may take on the processor: 2 GiB, twice four bytes each.
_MOST_PRODUCTS = 2**28


@dataclass(frozen=True)
class ExportResult:
    """What an export made.

    Attributes:
        bundle: The bundle with the exported files.
        certificates: What was proved, one entry a runtime.
        engine: File name of the TensorRT engine, if one was built.
        engine_problem: Why no engine was built although one was asked for.
        without_search: Why the engine holds the embedder alone, if it does, so that the processor searches.
        unsaved: Why a certificate could not be kept, if it could not; what was exported is in place.
    """

    bundle: Bundle
    certificates: tuple[Certificate, ...]
    engine: str | None = None
    engine_problem: RuntimeUnavailableError | None = None
    without_search: PcedgeError | None = None
    unsaved: BundleError | None = None


def export_bundle(
    bundle: Bundle,
    *,
    trt: bool = False,
    batch: int = DEFAULT_BATCH,
    keep_onnx: bool = False,
    progress: Progress = silent,
) -> ExportResult:
    """Write the embedder as ONNX into a bundle and prove that it scores like the reference.

    The file has operators and fixed shapes that TensorRT accepts, whether an engine is built or not. Beside
    it lies the search for GPUs, a few hundred bytes that make one network of the two.

    With ``trt``, also build an engine for this machine; an ONNX file already there is used as it is, so that
    the device needs no PyTorch. Where TensorRT is not present, the ONNX export still succeeds and the result
    says what is missing.

    Args:
        bundle: As ``fit`` made it; replaced whole, or not at all.
        trt: Whether to build a TensorRT engine.
        batch: Largest batch that the engine is to take.
        keep_onnx: Whether an ONNX file already there is used as it is, also without ``trt``.
        progress: Told of the stage ``export``.

    Raises:
        ExportError: The exported network is invalid, or a stage differs above the tolerance.
        MissingExtraError: PyTorch or onnx is not installed.
    """
    if (trt or keep_onnx) and bundle.has(EMBEDDER_FILE):
        with OnnxRuntime(bundle.file(EMBEDDER_FILE), "cpu") as runtime:
            proofs = [_prove(bundle, runtime, "onnx", "cpu")]
    else:
        bundle, proof = _export_onnx(bundle, progress)
        proofs = [proof]
    built: _Engine | None = None
    problem: RuntimeUnavailableError | None = None
    if trt:
        try:
            built = _export_engine(bundle, batch, progress)
            bundle = built.bundle
            proofs.append(built.proof)
        except RuntimeUnavailableError as error:
            problem = error
    certificates = tuple(certify(bundle, *proof) for proof in proofs)
    return ExportResult(
        bundle,
        certificates,
        engine=built.name if built is not None else None,
        engine_problem=problem,
        without_search=built.without_search if built is not None else None,
        unsaved=keep_certificates(bundle, *certificates),
    )


class _Proof(NamedTuple):
    runtime: str
    device: str
    parity: Parity
    frame_ms: float


def _export_onnx(bundle: Bundle, progress: Progress) -> tuple[Bundle, _Proof]:
    with edit_bundle(bundle) as staging:
        progress("export", 0, 2)
        path = staging / EMBEDDER_FILE
        _write_embedder(bundle, path)
        check_operators(path)
        fixed_shapes(path, batch=1)
        part = staging / SEARCH_PART_FILE
        write_search_part(part, bundle.manifest.embedding.dims)
        _check_fused(bundle, path, part)
        progress("export", 1, 2)
        with OnnxRuntime(path, "cpu") as runtime:
            proof = _prove(bundle, runtime, "onnx", "cpu")
        manifest = seal(staging, bundle.manifest)
    progress("export", 2, 2)
    return Bundle(bundle.directory, manifest), proof


def _check_fused(bundle: Bundle, embedder: Path, part: Path) -> None:
    """Prove the network for GPUs as far as that can be done without one: its graph, and its results."""
    with TemporaryDirectory() as folder:
        fused = Path(folder) / f"{embedder.stem}.fused.onnx"
        write_fused(embedder, part, fused)
        check_operators(fused)
    patches = prod(bundle.manifest.embedding.grid_hw)
    if patches * bundle.manifest.bank.rows > _MOST_PRODUCTS:
        return  # the GPU's own proof is left, which watch asks for
    with OnnxSearchingRuntime(embedder, part, "cpu") as runtime:
        _require_parity(bundle, Inspector.of(bundle.manifest, runtime, bundle.open_bank()))


class _Engine(NamedTuple):
    bundle: Bundle
    name: str
    proof: _Proof
    without_search: PcedgeError | None = None


def _export_engine(bundle: Bundle, batch: int, progress: Progress) -> _Engine:
    """Build an engine with the search in it or, where TensorRT does not manage that, without."""
    if not bundle.has(SEARCH_PART_FILE):  # exported by an earlier version
        return _build(bundle, batch, progress, fused=False)
    try:
        return _build(bundle, batch, progress, fused=True)
    except (ExportError, RuntimeUnavailableError) as error:
        return _build(bundle, batch, progress, fused=False)._replace(without_search=error)


def _build(bundle: Bundle, batch: int, progress: Progress, *, fused: bool) -> _Engine:
    """Build an engine in a step of its own: should that fail, the ONNX file stays."""
    manifest = bundle.manifest
    name = engine_name(bundle.file(EMBEDDER_FILE), bundle.file(SEARCH_PART_FILE) if fused else None)
    with edit_bundle(bundle) as staging, TemporaryDirectory() as folder:
        progress("engine", 0, 2)
        source = staging / EMBEDDER_FILE
        if fused:
            source = Path(folder) / f"{source.stem}.fused.onnx"
            source.write_bytes(fuse(staging / EMBEDDER_FILE, staging / SEARCH_PART_FILE))
        build_engine(
            source,
            staging / name,
            image_size=manifest.preprocessing.input_size,
            max_batch=batch,
            largest_bank=(manifest.bank.rows, manifest.embedding.dims) if fused else None,
            timing_cache=default_cache_directory() / "tensorrt" / timing_cache_name(),
        )
        progress("engine", 1, 2)
        kind = TensorrtSearchingRuntime if fused else TensorrtRuntime
        with kind(staging / name) as runtime:
            proof = _prove(bundle, runtime, "tensorrt", "cuda")
        manifest = seal(staging, manifest)
    progress("engine", 2, 2)
    return _Engine(Bundle(bundle.directory, manifest), name, proof)


def _write_embedder(bundle: Bundle, path: Path) -> None:
    try:
        import torch
    except ImportError:
        raise MissingExtraError("torch", "fit", "Exporting") from None
    from pcedge.embedder import restore_embedder

    embedder = restore_embedder(bundle.manifest, bundle.file(BACKBONE_FILE))
    size = bundle.manifest.preprocessing.input_size
    write_onnx(embedder, torch.zeros(2, 3, size, size), path)


def _prove(bundle: Bundle, runtime: Runtime, kind: str, device: str) -> _Proof:
    """Compare a runtime with the reference, and take its time.

    Raises:
        ExportError: It differs above the tolerance, or changes a verdict.
    """
    inspector = Inspector.of(bundle.manifest, runtime, bundle.open_bank())
    parity = _require_parity(bundle, inspector)
    return _Proof(kind, device, parity, measure_frame_ms(inspector, read_golden(bundle)))


def _require_parity(bundle: Bundle, inspector: Inspector) -> Parity:
    parity = measure_parity(inspector, read_golden(bundle))
    if not parity.holds:
        raise ExportError(
            f"{parity.runtime} does not score like the reference on the golden frames: {parity.failure()}.",
            "Nothing was written. Another version of the runtime, or another --backbone, may do better.",
        )
    return parity
