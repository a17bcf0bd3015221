"""``pcedge compare``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcedge.cli.exit_codes import ERROR, PARTLY_DONE
from pcedge.cli.options import common, fit_options, panels
from pcedge.cli.options.fit_rules import has_backbone
from pcedge.cli.options.given import refuse
from pcedge.cli.options.weights_files import check_all_used, weights_by_backbone
from pcedge.cli.typed_command import command_line
from pcedge.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from pcedge.evaluation.runs import Run
    from pcedge.studies.comparison import Comparison, ComparisonEntry, MethodSpec


def compare(
    ctx: typer.Context,
    datasets: Annotated[
        list[Path],
        typer.Argument(
            metavar="DATASET...",
            help="Folders with training and test images, or folders that hold several.",
            show_default=False,
        ),
    ],
    methods: Annotated[
        str,
        typer.Option(
            help="What is compared, separated by commas; an unknown name lists all.",
            rich_help_panel=panels.METHOD,
        ),
    ] = "patchcore,padim,spade",
    methods_file: Annotated[
        Path | None,
        typer.Option(
            help="A file of methods of your own, in the form of pcedge's comparison/methods.toml.",
            show_default=False,
            rich_help_panel=panels.METHOD,
        ),
    ] = None,
    layout: common.Layout = None,
    image_size: fit_options.ImageSize = None,
    backbone: fit_options.Backbone = None,
    preset: fit_options.Preset = "whole",
    weights: Annotated[
        list[str] | None,
        typer.Option(
            help="Weights from a file: resnet18=weights/resnet18.pth; may be given for several backbones.",
            show_default=False,
            rich_help_panel=panels.NETWORK,
        ),
    ] = None,
    coreset: fit_options.Coreset = None,
    runtimes: Annotated[
        str,
        typer.Option(
            help="What runs the networks, the first of them for metrics and times: torch,onnx.",
            rich_help_panel=panels.RUNTIME,
        ),
    ] = "torch",
    device: common.Device = "auto",
    memory_gb: fit_options.MemoryGb = None,
    cache_gb: Annotated[
        float,
        typer.Option(
            help="Disk that cached features may use, in GB. 0, so that every fit's time is its own.",
            min=0,
            rich_help_panel=panels.RUNTIME,
        ),
    ] = 0,
    seed: fit_options.Seed = 0,
    output: Annotated[
        Path,
        typer.Option(
            help="Receives a run for each method and dataset, and the comparison.",
            rich_help_panel=panels.OUTPUT,
        ),
    ] = Path("runs/compare"),
    report: Annotated[
        Path | None,
        typer.Option(
            help="Write the report of pcedge report here (.pdf or .html).",
            show_default=False,
            rich_help_panel=panels.OUTPUT,
        ),
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option(
            help="Write tables, plot and discussion here, as a page in Markdown.",
            show_default=False,
            rich_help_panel=panels.OUTPUT,
        ),
    ] = None,
    json: common.Json = False,
) -> None:
    """Fit and evaluate several methods on the same images, and lay what they give side by side.

    Every method goes through the same evaluation: image AUROC, pixel AUROC, AUPRO, the time of a fit and of a
    frame, the size of the bundle. What makes the methods different stands in a file. A method that cannot be
    run here is listed with the reason, and the exit code is 3. What is finished is not done again.
    """
    from pcedge.cli.console import progress_bars
    from pcedge.studies.comparison import CompareOptions, choose_methods, compare_methods, read_methods
    from pcedge.studies.report import check_kind
    from pcedge.studies.suite import find_categories, parse_runtimes

    if report is not None:
        check_kind(report)
    chosen = choose_methods(
        (name.strip() for name in methods.split(",") if name.strip()), read_methods(methods_file)
    )
    files = weights_by_backbone(weights or [])
    _refuse_unused(ctx, chosen)
    asked = CompareOptions(
        fit=fit_options.fit_options(
            fit_options.Recipe(
                preset=preset,
                backbone=backbone,
                weights=None,
                layers=None,
                image_size=image_size,
                crop=None,
                embedding=None,
                coreset=coreset,
                neighbours=1,
                false_reject_rate=None,
                seed=seed,
                device=device,
                memory_gb=memory_gb,
                cache_gb=cache_gb,
                layout=layout,
            )
        ),
        methods=chosen,
        weights=files,
        runtimes=parse_runtimes(runtimes),
        preset=preset,
        command=command_line(),
    )
    check_all_used(files, _backbones(chosen, asked.fit.backbone))
    with progress_bars() as progress:
        found, outcomes = compare_methods(find_categories(datasets), asked, output, progress)
    runs = [outcome.run for outcome in outcomes if outcome.run]
    _print(found, output, resumed=sum(outcome.resumed for outcome in outcomes), json=json)
    if runs:
        _draw_and_write(found, runs, output, report, markdown)
    if found.not_run:
        raise typer.Exit(PARTLY_DONE if runs else ERROR)
    if any(run.skipped for run in runs):
        raise typer.Exit(PARTLY_DONE)


def _refuse_unused(ctx: typer.Context, methods: "Sequence[MethodSpec]") -> None:
    """Refuse options that no method of this comparison uses."""
    from pcedge.methods import find_method

    own = [one.own for one in methods]
    with_backbone = [one for one in own if has_backbone(one.method)]
    banks = [one for one in own if find_method(one.method).has_bank]
    why = "on any of the methods compared"
    if not with_backbone:
        refuse(
            ctx, ("weights", "cache_gb"), why, "Leave it out, or compare a method with a pretrained network."
        )
    if all(one.backbone is not None for one in with_backbone):
        refuse(ctx, ("backbone",), why, "Leave it out, or compare a method that does not name its own.")
    if all(one.coreset is not None for one in banks):
        refuse(ctx, ("coreset",), why, "Leave it out, or compare patchcore.")
    if all(one.image_size is not None for one in own):
        refuse(ctx, ("image_size",), why, "Leave it out, or compare a method that does not name its own.")


def _backbones(methods: "Sequence[MethodSpec]", default: str | None) -> tuple[str, ...]:
    """The named pretrained networks of a comparison."""
    named = (one.own.backbone or default for one in methods if has_backbone(one.own.method))
    return tuple(dict.fromkeys(name for name in named if name))


def _draw_and_write(
    found: "Comparison", runs: "list[Run]", output: Path, report: Path | None, markdown: Path | None
) -> None:
    from pcedge.cli.console import progress_bars, say
    from pcedge.studies.comparison import COMPARISON_PLOT, plot_comparison
    from pcedge.studies.report import ReportOptions, comparison_points, write_report

    directories = [output / run.name for run in runs]
    try:
        plot_comparison(found, output / COMPARISON_PLOT)
    except MissingExtraError as error:
        say("[yellow]No plot:[/] {what} {hint}", what=error.what, hint=error.hint)
    if markdown is not None:
        _write_markdown(markdown, found, runs, output / COMPARISON_PLOT, comparison_points(directories))
    if report is not None:
        with progress_bars() as progress:
            failed = tuple(
                (f"{one.dataset}, {one.method}", f"{one.reason} {one.hint}".strip()) for one in found.not_run
            )
            write_report(directories, report, ReportOptions(failed=failed), progress)
        say("Report written to [bold]{report}[/].", report=report)


def _write_markdown(
    page: Path, found: "Comparison", runs: "list[Run]", plot: Path, points: list[str]
) -> None:
    """Write the page, and the plot beside it under the same name."""
    from pcedge.core.files import replace_file
    from pcedge.errors import OutputError
    from pcedge.studies.comparison import comparison_markdown

    picture = page.with_suffix(plot.suffix)
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        drawn = plot.is_file()
        if drawn:
            replace_file(picture, plot.read_bytes())
        text = comparison_markdown(found, runs, points, picture.name if drawn else "")
        replace_file(page, text.encode())
    except OSError as error:
        raise OutputError(
            f"{page} cannot be written ({error.strerror or error}).", "Name another file with --markdown."
        ) from error


def _print(found: "Comparison", output: Path, *, resumed: int, json: bool) -> None:
    from pcedge.cli.console import out, say

    if json:
        import msgspec

        print(msgspec.json.encode(found).decode())
    else:
        for dataset in found.datasets:
            entries = [entry for entry in found.entries if entry.dataset == dataset]
            if entries:
                out.print(comparison_table(dataset, entries))
    for one in found.not_run:
        say(
            "[red]Not run:[/] {method} on {dataset}: {reason} {hint}",
            method=one.method,
            dataset=one.dataset,
            reason=one.reason,
            hint=one.hint,
        )
    if resumed:
        say("Finished already and not done again: {count}.", count=resumed)
    say("Written to [bold]{output}[/].", output=output)


def comparison_table(dataset: str, entries: "list[ComparisonEntry]") -> "Table":
    """A table of the results of every method on one dataset."""
    from rich.table import Table
    from rich.text import Text

    from pcedge.studies.comparison import COMPARED

    table = Table(title=Text(dataset), title_justify="left", title_style="bold")
    table.add_column("method", style="cyan", no_wrap=True)
    for heading in ("image AUROC", "pixel AUROC", "AUPRO", "fit", "a frame", "size"):
        table.add_column(heading, justify="right")
    for entry in entries:
        metrics = ("-" if (value := entry.value(name)) is None else f"{value:.4f}" for name in COMPARED)
        table.add_row(
            Text(entry.method),
            *metrics,
            f"{entry.fit_s:.1f} s",
            "-" if entry.frame_ms is None else f"{entry.frame_ms:.1f} ms",
            f"{entry.bytes / 1e6:.1f} MB",
        )
    return table
