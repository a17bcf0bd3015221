"""Export: the bundle's embedder as ONNX, proven on the golden frames, and as a TensorRT engine."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pcedge.bundle import BACKBONE_FILE, EMBEDDER_FILE, Bundle, edit_bundle, seal
from pcedge.errors import ExportError, MissingExtraError, RuntimeUnavailableError
from pcedge.export import (
    OnnxRuntime,
    Runtime,
    TensorrtRuntime,
    build_engine,
    engine_name,
    write_onnx,
)
from pcedge.golden import read_golden
from pcedge.inspector import Inspector
from pcedge.progress import Progress, silent

# Largest score difference accepted, relative to the score or the threshold. Float32 agrees to about 1e-6.
TOLERANCE = 1e-4
_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Parity:
    """How far a runtime is from the float32 reference on the golden frames.

    Attributes:
        runtime: What was compared with PyTorch.
        embedding_difference: Largest absolute difference of any embedding value.
        score_difference: Largest difference of a score, relative to that score or, where that is larger, to
            the threshold: with the whole training set in the bank, a score is nothing but rounding.
        flips: Golden frames whose verdict changed.
        frames: Golden frames compared.
    """

    runtime: str
    embedding_difference: float
    score_difference: float
    flips: int
    frames: int

    @property
    def holds(self) -> bool:
        """Whether the runtime may stand in for the reference."""
        return self.flips == 0 and self.score_difference <= TOLERANCE


@dataclass(frozen=True)
class ExportResult:
    """What an export made.

    Attributes:
        bundle: The bundle with the exported files.
        parity: One entry a runtime.
        engine: File name of the TensorRT engine, if one was built.
        engine_problem: Why no engine was built although one was asked for.
    """

    bundle: Bundle
    parity: tuple[Parity, ...]
    engine: str | None = None
    engine_problem: RuntimeUnavailableError | None = None


def export_bundle(bundle: Bundle, *, trt: bool = False, progress: Progress = silent) -> ExportResult:
    """Write the embedder as ONNX into a bundle and prove that it scores like the reference.

    With ``trt``, also build an engine for this machine; an ONNX file already there is used as it is, so that
    the device needs no PyTorch. Where TensorRT is not present, the ONNX export still succeeds and the result
    says what is missing.

    Args:
        bundle: As ``fit`` made it; replaced whole, or not at all.
        trt: Whether to build a TensorRT engine.
        progress: Told of the stage ``export``.

    Raises:
        ExportError: The exported network is invalid or differs above ``TOLERANCE``.
        MissingExtraError: PyTorch or onnx is not installed.
    """
    if trt and bundle.has(EMBEDDER_FILE):
        with OnnxRuntime(bundle.file(EMBEDDER_FILE), "cpu") as runtime:
            parity: tuple[Parity, ...] = (_prove(bundle, runtime),)
    else:
        bundle, parity = _export_onnx(bundle, progress)
    if not trt:
        return ExportResult(bundle, parity)
    try:
        return _export_engine(bundle, engine_name(), parity, progress)
    except RuntimeUnavailableError as error:
        return ExportResult(bundle, parity, engine_problem=error)


def _export_onnx(bundle: Bundle, progress: Progress) -> tuple[Bundle, tuple[Parity, ...]]:
    with edit_bundle(bundle) as staging:
        progress("export", 0, 2)
        path = staging / EMBEDDER_FILE
        _write_embedder(bundle, path)
        progress("export", 1, 2)
        with OnnxRuntime(path, "cpu") as runtime:
            parity = _prove(bundle, runtime)
        manifest = seal(staging, bundle.manifest)
    progress("export", 2, 2)
    return Bundle(bundle.directory, manifest), (parity,)


def _export_engine(bundle: Bundle, name: str, parity: tuple[Parity, ...], progress: Progress) -> ExportResult:
    """Build an engine in a step of its own: should that fail, the ONNX file stays."""
    with edit_bundle(bundle) as staging:
        progress("engine", 0, 2)
        size = bundle.manifest.preprocessing.input_size
        build_engine(staging / EMBEDDER_FILE, staging / name, image_size=size)
        progress("engine", 1, 2)
        with TensorrtRuntime(staging / name) as runtime:
            proven = _prove(bundle, runtime)
        manifest = seal(staging, bundle.manifest)
    progress("engine", 2, 2)
    return ExportResult(Bundle(bundle.directory, manifest), (*parity, proven), engine=name)


def _write_embedder(bundle: Bundle, path: Path) -> None:
    try:
        import torch
    except ImportError:
        raise MissingExtraError("torch", "fit", "Exporting") from None
    from pcedge.embedder import restore_embedder

    embedder = restore_embedder(bundle.manifest, bundle.file(BACKBONE_FILE))
    size = bundle.manifest.preprocessing.input_size
    write_onnx(embedder, torch.zeros(2, 3, size, size), path)


def _prove(bundle: Bundle, runtime: Runtime) -> Parity:
    """Compare a runtime with the reference.

    Raises:
        ExportError: It differs above the tolerance, or changes a verdict.
    """
    parity = measure_parity(bundle, runtime)
    if not parity.holds:
        raise ExportError(
            f"{parity.runtime} does not score like the reference on the golden frames: scores differ by up "
            f"to {parity.score_difference:.1e} (at most {TOLERANCE:.0e} is accepted) and {parity.flips} of "
            f"{parity.frames} verdicts change.",
            "Nothing was written. Another version of the runtime, or another --backbone, may do better.",
        )
    return parity


def measure_parity(bundle: Bundle, runtime: Runtime) -> Parity:
    """Run the golden frames, from the decoded picture on, and compare with what the reference made of it."""
    limit = bundle.manifest.threshold
    inspector = Inspector.of(bundle.manifest, runtime, bundle.open_bank())
    frames = read_golden(bundle)
    embedding_differences, score_differences, flips = [], [], 0
    for frame in frames:
        found, expected = inspector.stages(frame.image_rgb), frame.stages
        embedding_differences.append(np.abs(found.embeddings - expected.embeddings).max())
        scale = max(expected.score, limit.score, _TINY)
        score_differences.append(abs(found.score - expected.score) / scale)
        flips += (found.score > limit.score) != (expected.score > limit.score)
    return Parity(
        runtime.name,
        float(np.max(embedding_differences)),  # which is NaN if any is, and then parity does not hold
        float(np.max(score_differences)),
        flips,
        len(frames),
    )
