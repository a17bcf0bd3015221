"""``pcedge export``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcedge.defaults import DEFAULT_BATCH, DEFAULT_MODELS

from . import options
from .exit_codes import PARTLY_DONE

if TYPE_CHECKING:
    from pcedge.exporting import ExportResult
    from pcedge.triton_repository import TritonRepository


def export(
    trt: Annotated[
        bool, typer.Option("--trt", help="Also build a TensorRT engine, for this machine's GPU.")
    ] = False,
    batch: Annotated[
        int,
        typer.Option(
            help="With --trt and --triton: the largest batch of frames that a call is to take.", min=1
        ),
    ] = DEFAULT_BATCH,
    triton: Annotated[
        Path | None,
        typer.Option(
            help="Also put the product into this model repository of a Triton Inference Server: new, empty, "
            "or written so before. With --trt the network there is a TensorRT engine.",
            show_default=False,
        ),
    ] = None,
    model: options.Model = None,
    models: options.ModelsDir = DEFAULT_MODELS,
    json: options.Json = False,
) -> None:
    """Export the bundle's network to ONNX, and prove on the golden frames that it scores the same.

    With --triton, an ONNX file that is there is used as it is.

    Exit code 3: the ONNX file is there, but TensorRT is not on this machine, or the certificate of what was
    proved could not be written.
    """
    from pcedge.bundle import find_bundle
    from pcedge.exporting import export_bundle
    from pcedge.triton_repository import write_triton_repository

    from .console import progress_bars, show_error

    bundle = find_bundle(model, models)
    repository: TritonRepository | None = None
    with progress_bars() as progress:
        result = export_bundle(bundle, trt=trt, batch=batch, keep_onnx=triton is not None, progress=progress)
        if triton is not None:
            repository = write_triton_repository(
                result.bundle, triton, batch=batch, trt=result.engine is not None, progress=progress
            )
    if json:
        _print_json(result, repository)
    else:
        _print_summary(result, repository)
    problems = [problem for problem in (result.engine_problem, result.unsaved) if problem is not None]
    for problem in problems:
        show_error(problem)
    if problems:
        raise typer.Exit(PARTLY_DONE)


def _print_json(result: "ExportResult", repository: "TritonRepository | None") -> None:
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
                "triton": _triton(repository) if repository is not None else None,
            }
        )
    )


def _triton(repository: "TritonRepository") -> dict[str, object]:
    return {
        "directory": str(repository.directory),
        "model": repository.model,
        "models": repository.models,
        "platform": repository.platform,
        "products": repository.products,
    }


def _print_summary(result: "ExportResult", repository: "TritonRepository | None") -> None:
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
    if repository is not None:
        table.add("Triton", f"{repository.directory}: ask for {repository.model}; {repository.platform}")
        table.add(
            "", f"products there: {', '.join(repository.products)}; see {repository.directory}/README.md"
        )
    out.print(table)
    if result.without_search is not None:
        say(
            "[yellow]The engine does not search, the processor does:[/] {why}", why=result.without_search.what
        )
    say("Next: [bold]pcedge watch --camera 0[/]")
