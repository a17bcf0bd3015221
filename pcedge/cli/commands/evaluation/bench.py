"""``pcedge bench``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcedge.cli.exit_codes import NOT_ALL_OK
from pcedge.cli.options import common, panels
from pcedge.cli.options.given import refuse
from pcedge.cli.options.shares import share_of_all
from pcedge.core.defaults import DEFAULT_MODELS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.table import Table
    from rich.text import Text

    from pcedge.bundles.bundle import Bundle
    from pcedge.core.progress import Progress
    from pcedge.deployment.bench.result import Bench, BenchMeasurement
    from pcedge.inspection.runtimes import Candidate


def bench(
    ctx: typer.Context,
    dataset: Annotated[
        Path | None,
        typer.Argument(
            metavar="DATASET",
            help="Labelled images to judge while the time is taken: accuracy stands beside speed. Without "
            "it, the bundle's golden frames are timed.",
            show_default=False,
        ),
    ] = None,
    model: common.Model = None,
    models: common.ModelsDir = DEFAULT_MODELS,
    max_ms: Annotated[
        float | None,
        typer.Option(
            help="Fail unless a runtime judges 95 % of the frames within so many milliseconds.",
            min=0,
            show_default=False,
            rich_help_panel=panels.LIMITS,
        ),
    ] = None,
    min_auroc: Annotated[
        float | None,
        typer.Option(
            help="Fail unless a runtime reaches this image AUROC: 0.98 or 98%.",
            parser=share_of_all,
            metavar="SHARE",
            show_default=False,
            rich_help_panel=panels.LIMITS,
        ),
    ] = None,
    frames: Annotated[
        int,
        typer.Option(
            help="Frames to time.",
            min=20,
            rich_help_panel=panels.LIMITS,
        ),
    ] = 200,
    runtime: common.Runtime = "auto",
    device: common.Device = "auto",
    precision: common.Precision = "all",
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Also draw it: accuracy over time, or without labelled images where the time goes. "
            "A name that ends in .png, .svg or .pdf.",
            show_default=False,
            rich_help_panel=panels.OUTPUT,
        ),
    ] = None,
    json: common.Json = False,
) -> None:
    """Measure how fast and how accurate a bundle is on this machine, in every runtime and precision it has.

    A frame is timed from decoded image to verdict and map, and each stage by itself: preprocessing,
    embedding, search, map. Every runtime is measured in a process of its own, one after the other. Close what
    else is running: the load before the start is shown.

    Exit code 4: with --min-auroc or --max-ms, no runtime scores like the reference and keeps to both. Name
    one with --runtime and --precision to hold it to them.
    """
    from pcedge.bundles.bundle import find_bundle
    from pcedge.core.figures import check_plot
    from pcedge.datasets import labelled_images, open_dataset
    from pcedge.deployment.bench.bench import bench_candidates
    from pcedge.deployment.bench.plot import draw_bench
    from pcedge.deployment.bench.result import describe_bench, load_average
    from pcedge.inspection.precision import precision_choice
    from pcedge.inspection.runtimes import runtime_kind

    if dataset is None:
        refuse(ctx, ("min_auroc",), "without labelled images", "Name a dataset: pcedge bench DATASET")
    picture = None if plot is None else check_plot(plot)
    bundle = find_bundle(model, models)
    if dataset is not None:
        labelled_images(open_dataset(dataset))
    found = bench_candidates(bundle, runtime_kind(runtime), device, precision_choice(precision))
    load = load_average()
    measured, skipped = _measure(bundle, found, dataset, frames)
    result = describe_bench(bundle, dataset, load, measured, skipped)
    if json:
        _print_json(result)
    else:
        _print_table(result)
    if picture is not None:
        draw_bench(result, picture)
    limited = min_auroc is not None or max_ms is not None
    if limited and not any(one.holds(min_auroc=min_auroc, max_ms=max_ms) for one in measured):
        _print_failure(min_auroc, max_ms)
        raise typer.Exit(NOT_ALL_OK)


def _measure(
    bundle: "Bundle", found: "list[Candidate]", dataset: Path | None, frames: int
) -> "tuple[list[BenchMeasurement], dict[str, str]]":
    """Measure all usable candidates; if a single one was requested and is unusable, raise."""
    from pcedge.cli.console import progress_bars, say
    from pcedge.deployment.bench.process import measure_apart
    from pcedge.errors import PcedgeError

    measured: list[BenchMeasurement] = []
    skipped: dict[str, str] = {}
    problem: PcedgeError | None = None
    with progress_bars() as progress:
        for candidate in found:
            try:
                named = _named(progress, str(candidate))
                measured.append(measure_apart(bundle, candidate, dataset, frames, named))
            except PcedgeError as error:
                problem = problem or error
                skipped[str(candidate)] = error.what
    if problem is not None and not measured:
        raise problem
    for name, reason in skipped.items():
        say("[yellow]{name} cannot be used:[/] {reason}", name=name, reason=reason)
    return measured, skipped


def _named(progress: "Progress", name: str) -> "Progress":
    return lambda stage, done, total: progress(f"{name}: {stage}", done, total)


def _print_json(result: "Bench") -> None:
    import msgspec

    print(msgspec.json.encode(result).decode())


def _print_table(result: "Bench") -> None:
    from pcedge.cli.console import out, say

    out.print(_times(result))
    out.print(_costs(result))
    say("Load before the start: {load} (above 0, times are too long).", load=f"{result.load:.1f}")


def _times(result: "Bench") -> "Table":
    from pcedge.deployment.bench.result import FRAME, STAGES

    frames = result.measured[0].frames
    title = f"{result.bundle}: milliseconds from decoded image to verdict and map, {frames} frames"
    table = _right_aligned(title, ("p50", "p95", "p99", "per s", *STAGES))
    for one in result.measured:
        whole = one.stages[FRAME]
        parts = (one.stages[stage].p50 for stage in STAGES)
        values = (whole.p50, whole.p95, whole.p99, one.frames_per_second, *parts)
        table.add_row(_name(one), *(f"{value:.1f}" for value in values))
    return table


def _costs(result: "Bench") -> "Table":
    accurate = result.dataset is not None
    headings = ("peak memory MB", "network MB", "bank MB")
    table = _right_aligned(
        "What it takes", (*headings, *(("image AUROC", "pixel AUROC") if accurate else ()))
    )
    for one in result.measured:
        sizes = (one.peak_memory_bytes, one.network_bytes, one.bank_bytes)
        aurocs = (one.image_auroc, one.pixel_auroc) if accurate else ()
        table.add_row(
            _name(one),
            *(f"{size / 1e6:,.1f}" for size in sizes),
            *("not defined" if value is None else f"{value:.4f}" for value in aurocs),
        )
    return table


def _right_aligned(title: str, headings: "Iterable[str]") -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", min_width=len("onnxruntime"))
    for heading in headings:
        table.add_column(heading, justify="right", overflow="fold")
    return table


def _name(measured: "BenchMeasurement") -> "Text":
    from rich.text import Text

    name = Text(f"{measured.called}, {measured.precision}")
    if not measured.parity:
        name.append(" differs from the reference", "bold red")
    return name


def _print_failure(min_auroc: float | None, max_ms: float | None) -> None:
    from pcedge.cli.console import say

    limits = [] if min_auroc is None else [f"an image AUROC of {min_auroc:g}"]
    limits += [] if max_ms is None else [f"{max_ms:g} ms for 95 % of the frames"]
    say("[bold red]No runtime keeps to {limits}.[/]", limits=" and ".join(limits))
