"""``pcedge export``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcedge.cli.exit_codes import PARTLY_DONE
from pcedge.cli.options import common, panels
from pcedge.cli.options.given import Unused, refuse, refuse_unused
from pcedge.core.defaults import DEFAULT_BATCH, DEFAULT_MODELS

if TYPE_CHECKING:
    from rich.table import Table

    from pcedge.bundles.bundle import Bundle
    from pcedge.bundles.manifest import Precision
    from pcedge.deployment.exporting.export_bundle import ExportResult
    from pcedge.deployment.triton.repository import TritonRepository


_UNUSED = (
    Unused(
        lambda given: not given["trt"] and not given["trt_rtx"] and given["triton"] is None,
        ("batch",),
        "without --trt, --trt-rtx or --triton",
        "Add one of them, or leave it out.",
    ),
    Unused(
        lambda given: not given["trt_rtx"],
        ("compute",),
        "without --trt-rtx",
        "Add --trt-rtx, or leave it out.",
    ),
    Unused(
        lambda given: not given["fp16"] and not given["int8"],
        ("images",),
        "without another precision",
        "Add --fp16 or --int8, or leave it out.",
    ),
)


def export(
    ctx: typer.Context,
    trt: Annotated[
        bool,
        typer.Option(
            "--trt",
            help="Also build a TensorRT engine, for this machine's GPU.",
            rich_help_panel=panels.NETWORK,
        ),
    ] = False,
    trt_rtx: Annotated[
        bool,
        typer.Option(
            "--trt-rtx",
            help="Also build an engine of TensorRT for RTX, ahead of time and without a GPU, for RTX GPUs of "
            "other machines.",
            rich_help_panel=panels.NETWORK,
        ),
    ] = False,
    compute: Annotated[
        str,
        typer.Option(
            help="With --trt-rtx: compute capabilities of those GPUs, separated by commas: 8.6 for RTX 30, "
            "8.9 for RTX 40, 12.0 for RTX 50.",
            show_default=False,
            rich_help_panel=panels.NETWORK,
        ),
    ] = "",
    fp16: Annotated[
        bool,
        typer.Option(
            "--fp16",
            help="Also write the network in half precision, with a bank of its own.",
            rich_help_panel=panels.NETWORK,
        ),
    ] = False,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8",
            help="Also write the network in 8-bit integers, calibrated on the good images, with a bank of "
            "its own: for CPUs, or with --trt or --trt-rtx for TensorRT (int8-trt, beside the CPU's).",
            rich_help_panel=panels.NETWORK,
        ),
    ] = False,
    batch: Annotated[
        int,
        typer.Option(
            help="With --trt, --trt-rtx and --triton: the largest batch of frames that a call is to take.",
            min=1,
            rich_help_panel=panels.NETWORK,
        ),
    ] = DEFAULT_BATCH,
    images: Annotated[
        Path | None,
        typer.Option(
            help="With --fp16 or --int8: the dataset that the bundle was fitted on. Without it, the folder "
            "of that name. Labelled images in it measure what the precision costs.",
            show_default=False,
            rich_help_panel=panels.DATA,
        ),
    ] = None,
    model: common.Model = None,
    models: common.ModelsDir = DEFAULT_MODELS,
    triton: Annotated[
        Path | None,
        typer.Option(
            help="Also put the product into this model repository of a Triton Inference Server: new, empty, "
            "or written so before. With --trt the network there is a TensorRT engine.",
            show_default=False,
            rich_help_panel=panels.OUTPUT,
        ),
    ] = None,
    json: common.Json = False,
) -> None:
    """Export the bundle's network to ONNX, and prove on the golden frames that it scores the same.

    A network in fp16 or int8 scores differently, so its bank and its threshold are made anew through it, and
    a table shows what it costs. Where it loses more than 0.5 points of AUROC, or there are no labelled images
    to tell, watch does not take it unless asked to (--precision int8).

    With --triton, an ONNX file that is there is used as it is; the models there are float32.

    Where --trt finds no TensorRT or no GPU, TensorRT for RTX parses and builds the network if it is
    installed, so that a workstation finds out what TensorRT would refuse. An engine of --trt-rtx is proved
    where it runs: pcedge verify --runtime tensorrt-rtx.

    Exit code 3: the ONNX file is there, but TensorRT is not on this machine, or the certificate of what was
    proved could not be written.
    """
    from pcedge.cli.console import progress_bars, show_error
    from pcedge.deployment.exporting.any_method import FURTHER
    from pcedge.deployment.triton.repository import write_triton_repository
    from pcedge.methods import find_any_bundle

    asked: dict[Precision, bool] = {"fp16": fp16, "int8": int8}
    precisions = [precision for precision, wanted in asked.items() if wanted]
    refuse_unused(ctx, _UNUSED)
    targets = _compute(trt_rtx, compute)
    bundle = find_any_bundle(model, models)
    further = FURTHER.get(bundle.manifest.method)
    if further is None:
        from .export_other_method import export_one

        refuse(
            ctx,
            ("trt", "trt_rtx", "batch", "triton", "fp16", "int8", "images"),
            f"on a bundle of {bundle.manifest.method}: it is for PatchCore alone",
            "Leave it out: the ONNX file runs everywhere that ONNX Runtime does.",
        )
        export_one(bundle, json)
        return
    repository: TritonRepository | None = None
    with progress_bars() as progress:
        result = further(
            bundle,
            trt=trt,
            rtx_compute=targets,
            batch=batch,
            precisions=precisions,
            images=images,
            keep_onnx=triton is not None,
            progress=progress,
        )
        if triton is not None:
            repository = write_triton_repository(
                result.bundle,
                triton,
                batch=batch,
                trt=_for_this_machine(result),
                progress=progress,
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


def _compute(trt_rtx: bool, compute: str) -> tuple[str, ...]:
    from pcedge.errors import OptionError

    targets = tuple(one.strip() for one in compute.split(",") if one.strip())
    if trt_rtx and not targets:
        raise OptionError(
            "--trt-rtx needs to know which GPUs the engine is for.",
            "Name their compute capabilities: pcedge export --trt-rtx --compute 8.6,8.9",
        )
    return targets


def _for_this_machine(result: "ExportResult") -> bool:
    """Whether an engine of TensorRT itself was built, which a server can load."""
    from pcedge.export import is_rtx_engine

    return any(not is_rtx_engine(name) for name in result.engines)


def _ahead_of_time(result: "ExportResult") -> bool:
    """Whether an engine was built for other machines, by TensorRT for RTX."""
    from pcedge.export import is_rtx_engine

    return any(is_rtx_engine(name) for name in result.engines)


def _print_json(result: "ExportResult", repository: "TritonRepository | None") -> None:
    import json

    import msgspec

    from pcedge.inspection.precision import objection

    print(
        json.dumps(
            {
                "bundle": str(result.bundle.directory),
                "certificates": [msgspec.to_builtins(certificate) for certificate in result.certificates],
                "engines": list(result.engines),
                "precisions": msgspec.to_builtins(result.bundle.manifest.precisions),
                "objections": {
                    precision: objection(result.bundle.manifest, precision)
                    for precision in result.bundle.precisions
                },
                "engine_problem": str(result.engine_problem) if result.engine_problem else None,
                "without_search": str(result.without_search) if result.without_search else None,
                "accepted": result.accepted or None,
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
    from pcedge.cli.console import Facts, model_option, out, say
    from pcedge.inspection.verification.parity import show_error, show_ms

    directory = result.bundle.directory
    table = Facts(f"Exported {directory}")
    for name in _files(result):
        size = result.bundle.manifest.files[name].size
        table.add("file", f"{directory / name} ({size / 1e6:,.1f} MB)")
    for certificate in result.certificates:
        parity = certificate.parity
        table.add(
            parity.runtime,
            f"equals {'PyTorch' if parity.precision == 'fp32' else parity.precision + ' as fitted'} on "
            f"{parity.frames} golden frames: embeddings differ by at most "
            f"{show_error(parity.stage('embedding').largest)}, scores by "
            f"{show_error(parity.stage('score').largest)} relative (accepted: "
            f"{parity.stage('score').accepted:.0e}), verdict "
            f"flips: {parity.flips}; {show_ms(certificate.frame_ms)} a frame",
        )
    if result.accepted:
        table.add("TensorRT", result.accepted)
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
    if len(result.bundle.precisions) > 1:
        _print_precisions(result.bundle)
    if _ahead_of_time(result):
        say(
            "The engine for other machines is not proved here. There: "
            "[bold]pcedge verify --runtime tensorrt-rtx{model}[/]",
            model=model_option(result.bundle.directory),
        )
    say("Next: [bold]pcedge watch --camera 0{model}[/]", model=model_option(result.bundle.directory))


def _files(result: "ExportResult") -> list[str]:
    """File names of the networks in the bundle."""
    from pcedge.bundles.bundle import EMBEDDER_FILE

    others = [f"{precision}/{EMBEDDER_FILE}" for precision in result.bundle.precisions[1:]]
    return [EMBEDDER_FILE, *others, *result.engines]


def _print_precisions(bundle: "Bundle") -> None:
    from pcedge.cli.console import out, say
    from pcedge.inspection.precision import objection

    out.print(_precision_table(bundle))
    for precision in bundle.precisions:
        if reason := objection(bundle.manifest, precision):
            say(
                "[yellow]{precision} is not taken without being asked for:[/] {reason}.",
                precision=precision,
                reason=reason,
            )


def _precision_table(bundle: "Bundle") -> "Table":
    """A table of accuracy and speed of every precision against float32."""
    from rich.table import Table
    from rich.text import Text

    from pcedge.bundles.bundle import EMBEDDER_FILE
    from pcedge.inspection.precision import objection

    measured = bundle.manifest.precisions
    own = next(iter(measured.values()), None)
    counted = f" on {own.good} good and {own.defective} defective images" if own else ""
    table = Table(title=Text(f"Precisions{counted}"), title_justify="left")
    table.add_column("")
    for heading in ("image AUROC", "pixel AUROC", "false rejects", "misses", "flips", "MB", "ms"):
        table.add_column(heading, justify="right")
    table.add_column("auto")
    for precision in bundle.precisions:
        reason = objection(bundle.manifest, precision)
        size = bundle.in_precision(precision).manifest.files[EMBEDDER_FILE].size
        found = measured.get(precision)
        values = (
            ["", "", "", "", "", f"{size / 1e6:.1f}", ""]
            if found is None
            else [
                _metric(found.image_auroc),
                _metric(found.pixel_auroc),
                _share(found.false_reject_rate),
                _share(found.miss_rate),
                str(found.flips),
                f"{size / 1e6:.1f}",
                f"{found.frame_ms:.1f}",
            ]
        )
        verdict = Text("no", "yellow") if reason else Text("yes", "green")
        table.add_row(precision, *values, verdict)
    return table


def _metric(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.4f}"


def _share(value: float | None) -> str:
    return "none to tell" if value is None else f"{value:.2%}"
