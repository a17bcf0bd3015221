"""``pcedge export``."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from pcedge.defaults import DEFAULT_MODELS

from . import options
from .exit_codes import PARTLY_DONE

if TYPE_CHECKING:
    from pcedge.exporting import ExportResult


def export(
    trt: Annotated[
        bool, typer.Option("--trt", help="Also build a TensorRT engine, for this machine's GPU.")
    ] = False,
    model: options.Model = None,
    models: options.ModelsDir = DEFAULT_MODELS,
    json: options.Json = False,
) -> None:
    """Export the bundle's network to ONNX, and prove on the golden frames that it scores the same.

    Exit code 3: the ONNX file is there, but TensorRT is not on this machine.
    """
    from pcedge.bundle import find_bundle
    from pcedge.exporting import export_bundle

    from .console import progress_bars, show_error

    bundle = find_bundle(model, models)
    with progress_bars() as progress:
        result = export_bundle(bundle, trt=trt, progress=progress)
    if json:
        _print_json(result)
    else:
        _print_summary(result)
    if result.engine_problem is not None:
        show_error(result.engine_problem)
        raise typer.Exit(PARTLY_DONE)


def _print_json(result: "ExportResult") -> None:
    import json

    print(
        json.dumps(
            {
                "bundle": str(result.bundle.directory),
                "parity": [asdict(parity) for parity in result.parity],
                "engine": result.engine,
                "engine_problem": str(result.engine_problem) if result.engine_problem else None,
            }
        )
    )


def _print_summary(result: "ExportResult") -> None:
    from pcedge.bundle import EMBEDDER_FILE
    from pcedge.exporting import TOLERANCE

    from .console import Facts, out, say

    directory = result.bundle.directory
    table = Facts(f"Exported {directory}")
    for name in (EMBEDDER_FILE, result.engine):
        if name is not None:
            size = result.bundle.manifest.files[name].size
            table.add("file", f"{directory / name} ({size / 1e6:,.1f} MB)")
    for parity in result.parity:
        table.add(
            parity.runtime,
            f"equals PyTorch on {parity.frames} golden frames: embeddings differ by at most "
            f"{parity.embedding_difference:.1e}, scores by {parity.score_difference:.1e} relative "
            f"(accepted: {TOLERANCE:.0e}), verdict flips: {parity.flips}",
        )
    out.print(table)
    say("Next: [bold]pcedge watch --camera 0[/]")
