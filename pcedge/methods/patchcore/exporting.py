"""Exporting PatchCore's embedder to ONNX, verified on the golden frames."""

from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

from pcedge.bundles.bundle import BACKBONE_FILE, EMBEDDER_FILE, SEARCH_PART_FILE, Bundle, edit_bundle, seal
from pcedge.core.extras import require_torch
from pcedge.core.progress import Progress, silent
from pcedge.export import (
    OnnxRuntime,
    OnnxSearchingRuntime,
    check_operators,
    fixed_shapes,
    write_fused,
    write_onnx,
    write_search_part,
)
from pcedge.inspection.verification.export_proof import Proof, prove, require_parity

# Limit of an unbounded search on the CPU: 2 GiB, at twice four bytes each.
_MOST_PRODUCTS = 2**28


def export_embedder(bundle: Bundle, progress: Progress = silent) -> tuple[Bundle, Proof]:
    """Write a bundle's embedder and the search for GPUs as ONNX into it, and verify them.

    Raises:
        ExportError: The exported network is invalid, or a stage differs above the tolerance.
        MissingExtraError: PyTorch or onnx is not installed.
    """
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
            proof = prove(bundle, runtime, "onnx", "cpu")
        manifest = seal(staging, bundle.manifest)
    progress("export", 2, 2)
    return Bundle(bundle.directory, manifest), proof


def _check_fused(bundle: Bundle, embedder: Path, part: Path) -> None:
    """Verify the network for GPUs as far as possible without one: its graph and its results."""
    with TemporaryDirectory() as folder:
        fused = Path(folder) / f"{embedder.stem}.fused.onnx"
        write_fused(embedder, part, fused)
        check_operators(fused)
    patches = prod(bundle.manifest.embedding.grid_hw)
    if patches * bundle.manifest.bank.rows > _MOST_PRODUCTS:
        return  # the verification on the GPU remains, which watch requires
    with OnnxSearchingRuntime(embedder, part, "cpu") as runtime:
        require_parity(bundle, runtime)


def _write_embedder(bundle: Bundle, path: Path) -> None:
    require_torch("Exporting")
    import torch

    from pcedge.networks.embedder import restore_embedder

    embedder = restore_embedder(bundle.manifest, bundle.file(BACKBONE_FILE))
    size = bundle.manifest.preprocessing.input_size
    write_onnx(embedder, torch.zeros(2, 3, size, size), path)


def prove_embedder(bundle: Bundle) -> Proof:
    """Verify the ONNX file of a bundle on the CPU.

    Raises:
        ExportError: A stage differs above the tolerance.
    """
    with OnnxRuntime(bundle.file(EMBEDDER_FILE), "cpu") as runtime:
        return prove(bundle, runtime, "onnx", "cpu")
