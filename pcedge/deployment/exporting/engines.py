"""TensorRT engines of a bundle: with the search in them where TensorRT manages that, without it where not."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from pcedge.bundles.bundle import EMBEDDER_FILE, SEARCH_PART_FILE, Bundle, edit_bundle, seal
from pcedge.bundles.manifest import Precision
from pcedge.core.defaults import default_cache_directory
from pcedge.core.progress import Progress
from pcedge.errors import ExportError, PcedgeError, RuntimeUnavailableError
from pcedge.export import (
    TensorrtRuntime,
    TensorrtSearchingRuntime,
    build_engine,
    engine_name,
    fuse,
    timing_cache_name,
)
from pcedge.inspection.verification.export_proof import Proof, prove


class Engine(NamedTuple):
    """An engine that was built.

    Attributes:
        bundle: The bundle with it.
        name: Its name within the bundle.
        proof: That it scores like the reference.
        without_search: Why it holds the embedder alone, if it does.
    """

    bundle: Bundle
    name: str
    proof: Proof
    without_search: PcedgeError | None = None


def export_engine(bundle: Bundle, precision: Precision, batch: int, progress: Progress) -> Engine:
    """Build an engine for this machine into a bundle, and prove it.

    Args:
        bundle: Exported; replaced whole, or left as it is.
        precision: Of the network.
        batch: Largest batch that the engine is to take.
        progress: Called with the stage ``engine``.

    Raises:
        RuntimeUnavailableError: TensorRT, Polygraphy or a GPU is missing.
        ExportError: TensorRT could not build it, or it differs from the reference.
    """
    if not bundle.in_precision(precision).has(SEARCH_PART_FILE):  # exported by an earlier version
        return _build(bundle, precision, batch, progress, fused=False)
    try:
        return _build(bundle, precision, batch, progress, fused=True)
    except (ExportError, RuntimeUnavailableError) as error:
        built = _build(bundle, precision, batch, progress, fused=False)
        return built._replace(without_search=error)


def _build(bundle: Bundle, precision: Precision, batch: int, progress: Progress, *, fused: bool) -> Engine:
    """Build an engine in a step of its own: should that fail, the ONNX file stays."""
    variant = bundle.in_precision(precision)
    manifest = variant.manifest
    part = variant.file(SEARCH_PART_FILE) if fused else None
    name = engine_name(variant.file(EMBEDDER_FILE), part)
    with edit_bundle(bundle) as staging, TemporaryDirectory() as temporary:
        progress("engine", 0, 2)
        folder = staging / variant.directory.relative_to(bundle.directory)
        source = folder / EMBEDDER_FILE
        if part is not None:
            source = Path(temporary) / f"{source.stem}.fused.onnx"
            source.write_bytes(fuse(folder / EMBEDDER_FILE, folder / SEARCH_PART_FILE))
        build_engine(
            source,
            folder / name,
            image_size=manifest.preprocessing.input_size,
            max_batch=batch,
            largest_bank=(manifest.bank.rows, manifest.embedding.dims) if fused else None,
            timing_cache=default_cache_directory() / "tensorrt" / timing_cache_name(),
        )
        progress("engine", 1, 2)
        with (TensorrtSearchingRuntime if fused else TensorrtRuntime)(folder / name) as runtime:
            proof = prove(variant, runtime, "tensorrt", "cuda")
        if folder != staging:
            seal(folder, manifest)
        sealed = seal(staging, bundle.manifest)
    progress("engine", 2, 2)
    return Engine(Bundle(bundle.directory, sealed), (folder / name).relative_to(staging).as_posix(), proof)
