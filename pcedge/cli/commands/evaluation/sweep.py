"""``pcedge sweep``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcedge.cli.exit_codes import PARTLY_DONE
from pcedge.cli.options import common, fit_options, panels
from pcedge.cli.options.weights_files import check_all_used, weights_by_backbone
from pcedge.core.defaults import DEFAULT_CACHE_GB
from pcedge.errors import MissingExtraError, OptionError

if TYPE_CHECKING:
    from rich.table import Table

    from pcedge.studies.sweeps import Sweep


def sweep(
    dataset: Annotated[
        Path,
        typer.Argument(
            metavar="DATASET",
            help="A folder with training and test images; pcedge datasets lists the layouts.",
            show_default=False,
        ),
    ],
    layout: common.Layout = None,
    image_size: Annotated[
        str,
        typer.Option(
            help="Sizes that whole images are resized to: 224,320.",
            rich_help_panel=panels.DATA,
        ),
    ] = "224",
    backbone: Annotated[
        str,
        typer.Option(
            help="Networks, separated by commas: resnet18,wide_resnet50_2,pcedge-s.",
            rich_help_panel=panels.NETWORK,
        ),
    ] = "pcedge-s",
    weights: Annotated[
        list[str] | None,
        typer.Option(
            help="Weights from a file: resnet18=weights/resnet18.pth; may be given for several backbones.",
            show_default=False,
            rich_help_panel=panels.NETWORK,
        ),
    ] = None,
    coreset: Annotated[
        str,
        typer.Option(
            help="Banks: fractions (0.1), per cent or numbers of rows: 1%,10%,25%.",
            rich_help_panel=panels.BANK,
        ),
    ] = "1%,10%",
    neighbours: Annotated[
        str,
        typer.Option(
            help="Bank rows that re-weight the image score (the paper's equation 7); 1 for none.",
            rich_help_panel=panels.BANK,
        ),
    ] = "1",
    device: common.Device = "auto",
    cache_gb: fit_options.CacheGb = DEFAULT_CACHE_GB,
    seed: fit_options.Seed = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Where sweep.json, sweep.csv and pareto.png go. Without it, sweeps/<dataset>.",
            show_default=False,
            rich_help_panel=panels.OUTPUT,
        ),
    ] = None,
    json: common.Json = False,
) -> None:
    """Measure every combination of settings: what accuracy costs in time and in size of the bank.

    Prints all points, those first that no other beats in image AUROC, time a frame and size at once, and
    draws them. Features are computed once for each backbone and size, and a sweep that was stopped goes on
    where it was.
    """
    from pcedge.banks import CoresetSize
    from pcedge.cli.console import progress_bars, say
    from pcedge.datasets import open_dataset
    from pcedge.studies.sweeps import PLOT, SweepOptions, plot_points
    from pcedge.studies.sweeps import sweep as run_sweep

    files = weights_by_backbone(weights or [])
    check_all_used(files, listed(backbone))
    images = open_dataset(dataset, layout)
    chosen = SweepOptions(
        backbones=listed(backbone),
        image_sizes=numbers(image_size, "--image-size 224,320"),
        coresets=tuple(CoresetSize.parse(size) for size in listed(coreset)),
        neighbours=numbers(neighbours, "--neighbours 1,3,9"),
        weights=files,
        seed=seed,
        device=device,
        cache_gb=cache_gb,
    )
    directory = output or Path("sweeps") / images.name
    with progress_bars() as progress:
        found = run_sweep(images, chosen, directory, progress)
    try:
        plot_points(found.points, directory / PLOT, f"Sweep of {found.dataset}")
    except MissingExtraError as error:
        say("[yellow]No plot:[/] {what} {hint}", what=error.what, hint=error.hint)
    if json:
        _print_json(found)
    else:
        _print(found, directory)
    if found.failed or found.skipped:
        raise typer.Exit(PARTLY_DONE)


def listed(text: str) -> tuple[str, ...]:
    """The distinct parts of a comma-separated list."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def numbers(text: str, example: str) -> tuple[int, ...]:
    """The integers of a comma-separated list."""
    try:
        return tuple(map(int, listed(text)))
    except ValueError:
        raise OptionError(
            f"{text!r} is not a list of whole numbers.", f"Write it like this: {example}"
        ) from None


def _print_json(found: "Sweep") -> None:
    import json

    import msgspec

    from pcedge.studies.sweeps import pareto

    front = {point.key for point in pareto(found.points)}
    plain = msgspec.to_builtins(found)
    for point, stated in zip(found.points, plain["points"], strict=True):
        stated["pareto"] = point.key in front
    print(json.dumps(plain, allow_nan=False))


def _print(found: "Sweep", directory: Path) -> None:
    from pcedge.cli.console import out, say

    out.print(sweep_table(found))
    for name, reason in found.failed.items():
        say("[red]Failed:[/] {name}: {reason}", name=name, reason=reason)
    for name, reason in found.skipped.items():
        say("[yellow]Left out[/] {name}: {reason}", name=name, reason=reason)
    say("Written to [bold]{directory}[/].", directory=directory)


def sweep_table(found: "Sweep") -> "Table":
    """A table of the points, the Pareto-optimal ones first and marked."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from pcedge.studies.sweeps import pareto

    title = Text(f"Sweep of {found.dataset}; b: neighbours that re-weight; *: beaten by none")
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        padding=(0, 0, 0, 1),
        pad_edge=False,
    )
    table.add_column("backbone", style="cyan", no_wrap=True)
    for heading in ("px", "coreset", "b", "image AUROC", "pixel AUROC", "AUPRO", "ms", "rows", "MB"):
        table.add_column(heading, justify="right", no_wrap="A" not in heading)
    front = pareto(found.points)
    beaten = sorted((point for point in found.points if point not in front), key=lambda point: point.frame_ms)
    for point in (*front, *beaten):
        metrics = (point.image_auroc, point.pixel_auroc, point.aupro)
        table.add_row(
            f"{point.backbone} *" if point in front else point.backbone,
            str(point.image_size),
            point.coreset,
            str(point.neighbours),
            *("-" if value is None else f"{value:.4f}" for value in metrics),
            f"{point.frame_ms:.1f}",
            f"{point.bank_rows:,}",
            f"{point.bank_bytes / 1e6:.1f}",
            style="" if point in front else "dim",
        )
    return table
