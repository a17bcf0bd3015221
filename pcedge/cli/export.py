"""``pcedge export``."""

from typing import TYPE_CHECKING, Annotated

import typer

from pcedge.defaults import DEFAULT_BATCH, DEFAULT_MODELS

from . import options
from .exit_codes import PARTLY_DONE

if TYPE_CHECKING:
    from pcedge.exporting import ExportResult


def export(
    trt: Annotated[
        bool, typer.Option("--trt", help="Also build a TensorRT engine, for this machine's GPU.")
    ] = False,
    batch: Annotated[
        int, typer.Option(help="With --trt: the largest batch of frames the engine is to take.", min=1)
    ] = DEFAULT_BATCH,
    model: options.Model = None,
    models: options.ModelsDir = DEFAULT_MODELS,
    json: options.Json = False,
) -> None:
    """Export the bundle's network to ONNX, and prove on the golden frames that it scores the same.

    Exit code 3: the ONNX file is there, but TensorRT is not on this machine, or the certificate of what was
    proved could not be written.
    """
    from pcedge.bundle import find_bundle
    from pcedge.exporting import export_bundle

    from .console import progress_bars, show_error

    bundle = find_bundle(model, models)
    with progress_bars() as progress:
        result = export_bundle(bundle, trt=trt, batch=batch, progress=progress)
    if json:
        _print_json(result)
    else:
        _print_summary(result)
    problems = [problem for problem in (result.engine_problem, result.unsaved) if problem is not None]
    for problem in problems:
        show_error(problem)
    if problems:
        raise typer.Exit(PARTLY_DONE)


def _print_json(result: "ExportResult") -> None:
    import json

    import msgspec

    print(
        json.dumps(
            {
                "bundle": str(result.bundle.directory),
                "certificates": [msgspec.to_builtins(certificate) for certificate in result.certificates],
                "engine": result.engine,
                "engine_problem": str(result.engine_problem) if result.engine_problem else None,
                "without_search": str(result.without_search) if result.without_search else None,
                "unsaved": str(result.unsaved) if result.unsaved else None,
            }
        )
    )


def _print_summary(result: "ExportResult") -> None:
    from pcedge.bundle import EMBEDDER_FILE
    from pcedge.parity import TOLERANCE, show_error, show_ms

    from .console import Facts, out, say

    directory = result.bundle.directory
    table = Facts(f"Exported {directory}")
    for name in (EMBEDDER_FILE, result.engine):
        if name is not None:
            size = result.bundle.manifest.files[name].size
            table.add("file", f"{directory / name} ({size / 1e6:,.1f} MB)")
    for certificate in result.certificates:
        parity = certificate.parity
        table.add(
            parity.runtime,
            f"equals PyTorch on {parity.frames} golden frames: embeddings differ by at most "
            f"{show_error(parity.stage('embedding').largest)}, scores by "
            f"{show_error(parity.stage('score').largest)} relative (accepted: {TOLERANCE:.0e}), verdict "
            f"flips: {parity.flips}; {show_ms(certificate.frame_ms)} a frame",
        )
    out.print(table)
    if result.without_search is not None:
        say(
            "[yellow]The engine does not search, the processor does:[/] {why}", why=result.without_search.what
        )
    say("Next: [bold]pcedge watch --camera 0[/]")
