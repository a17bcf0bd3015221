"""Engines of TensorRT for RTX, built ahead of time, and its parser and builder as a check of any export."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from pcedge.bundles.bundle import EMBEDDER_FILE, SEARCH_PART_FILE, Bundle, edit_bundle, seal
from pcedge.bundles.manifest import Precision
from pcedge.core.progress import Progress
from pcedge.errors import ExportError, PcedgeError
from pcedge.export import (
    Shapes,
    build_by_rtx,
    build_rtx_engine,
    check_capabilities,
    fuse,
    input_shapes,
    rtx_engine_name,
    rtx_version,
)

# Ampere, of which the Jetson Orin is too.
_CHECKED_FOR = ("8.6",)


class RtxEngine(NamedTuple):
    """An engine that was built, and has not run.

    Attributes:
        bundle: The bundle with it.
        name: Its name within the bundle.
        without_search: Why it holds the embedder alone, if it does.
    """

    bundle: Bundle
    name: str
    without_search: PcedgeError | None = None


def accepted_by_rtx(bundle: Bundle, precisions: Sequence[Precision], batch: int) -> str:
    """Let NVIDIA's parser and builder read what an engine is to be built of, where they are installed.

    Returns:
        What they accepted, as a sentence; empty where they are not installed.

    Raises:
        ExportError: They refuse it; the message names node and operator.
    """
    if rtx_version() is None:
        return ""
    layers = []
    for precision in precisions:
        variant = bundle.in_precision(precision)
        fused = variant.has(SEARCH_PART_FILE)
        with TemporaryDirectory() as folder:
            source = _source(variant, variant.directory, Path(folder), fused=fused)
            plan = build_by_rtx(source, _inputs(variant, batch, fused=fused), _CHECKED_FOR)
        layers.append(f"{precision} ({plan.layers} layers)")
    return f"parsed and built, not run, by TensorRT for RTX {rtx_version()}: {', '.join(layers)}"


def export_rtx_engines(
    bundle: Bundle, precision: Precision, batch: int, compute: Sequence[str], progress: Progress
) -> list[RtxEngine]:
    """Build engines for GPUs of named compute capabilities into a bundle; they are proved where they run.

    One with the search in it for all of them; where the library cannot build that for some, these get one
    that holds the embedder alone.

    Args:
        bundle: Exported; replaced whole, or left as it is.
        precision: Of the network.
        batch: Largest batch that the engines are to take.
        compute: Compute capabilities, ``("8.6", "8.9")``.
        progress: Called with the stage ``engine``.

    Returns:
        The engines; the bundle of the last has all of them.

    Raises:
        RuntimeUnavailableError: TensorRT for RTX is not installed.
        OptionError: It builds for no such compute capability.
        ExportError: It refuses the network.
    """
    compute = check_capabilities(compute)
    if not bundle.in_precision(precision).has(SEARCH_PART_FILE):  # exported by an earlier version
        return [_build(bundle, precision, batch, compute, progress, fused=False)]
    try:
        return [_build(bundle, precision, batch, compute, progress, fused=True)]
    except ExportError as error:
        problem = error
    searched = _able_to_search(bundle.in_precision(precision), batch, compute)
    engines: list[RtxEngine] = []
    if searched:
        engines.append(_build(bundle, precision, batch, searched, progress, fused=True))
        bundle = engines[-1].bundle
    if rest := [one for one in compute if one not in searched]:
        built = _build(bundle, precision, batch, rest, progress, fused=False)
        engines.append(built._replace(without_search=problem))
    return engines


def _able_to_search(variant: Bundle, batch: int, compute: Sequence[str]) -> list[str]:
    """For which of several compute capabilities the network with the search can be built."""
    able = list[str]()
    with TemporaryDirectory() as folder:
        source = _source(variant, variant.directory, Path(folder), fused=True)
        for one in compute if len(compute) > 1 else ():
            with contextlib.suppress(ExportError):
                build_by_rtx(source, _inputs(variant, batch, fused=True), [one])
                able.append(one)
    return able


def _build(
    bundle: Bundle,
    precision: Precision,
    batch: int,
    compute: Sequence[str],
    progress: Progress,
    *,
    fused: bool,
) -> RtxEngine:
    variant = bundle.in_precision(precision)
    manifest = variant.manifest
    part = variant.file(SEARCH_PART_FILE) if fused else None
    name = rtx_engine_name(variant.file(EMBEDDER_FILE), compute, rtx_version() or "", part)
    with edit_bundle(bundle) as staging, TemporaryDirectory() as temporary:
        progress("engine", 0, 1)
        folder = staging / variant.directory.relative_to(bundle.directory)
        build_rtx_engine(
            _source(variant, folder, Path(temporary), fused=fused),
            folder / name,
            compute,
            image_size=manifest.preprocessing.input_size,
            max_batch=batch,
            largest_bank=(manifest.bank.rows, manifest.embedding.dims) if fused else None,
        )
        if folder != staging:
            seal(folder, manifest)
        sealed = seal(staging, bundle.manifest)
    progress("engine", 1, 1)
    return RtxEngine(Bundle(bundle.directory, sealed), (folder / name).relative_to(staging).as_posix())


def _source(variant: Bundle, folder: Path, temporary: Path, *, fused: bool) -> Path:
    """The checked network, alone or with the search behind it."""
    embedder = variant.file(EMBEDDER_FILE)
    if not fused:
        return folder / EMBEDDER_FILE
    source = temporary / f"{embedder.stem}.fused.onnx"
    source.write_bytes(fuse(embedder, variant.file(SEARCH_PART_FILE)))
    return source


def _inputs(variant: Bundle, batch: int, *, fused: bool) -> dict[str, Shapes]:
    manifest = variant.manifest
    bank = (manifest.bank.rows, manifest.embedding.dims) if fused else None
    return input_shapes(manifest.preprocessing.input_size, max_batch=batch, largest_bank=bank)
