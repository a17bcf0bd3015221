"""``pcedge plan``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from pcedge.cli.exit_codes import NOT_ALL_OK
from pcedge.cli.options import common, fit_options, panels
from pcedge.cli.options.given import refuse
from pcedge.cli.options.old_forms import bundle_and_more
from pcedge.cli.options.weights_files import check_all_used, weights_by_backbone
from pcedge.core.defaults import DEFAULT_CACHE_GB, DEFAULT_MODELS
from pcedge.errors import OptionError

from .sweep import listed, numbers

if TYPE_CHECKING:
    from rich.table import Table

    from pcedge.bundles.bundle import Bundle
    from pcedge.bundles.manifest import Precision
    from pcedge.datasets import Dataset
    from pcedge.studies.planning import Budget, Plan


def plan(
    ctx: typer.Context,
    dataset: Annotated[
        str | None,
        typer.Argument(
            metavar="DATASET",
            help="A folder of good images, to choose among networks too. Without it, a bundle's network is "
            "kept, without PyTorch: that of --model, or the current one.",
            show_default=False,
        ),
    ] = None,
    model: common.Model = None,
    models: common.ModelsDir = DEFAULT_MODELS,
    max_ms: Annotated[
        float | None,
        typer.Option(
            help="Milliseconds a frame may take, on this device.",
            min=0.001,
            show_default=False,
            rich_help_panel=panels.LIMITS,
        ),
    ] = None,
    max_mb: Annotated[
        float | None,
        typer.Option(
            help="Megabytes network and bank may take.",
            min=0.001,
            show_default=False,
            rich_help_panel=panels.LIMITS,
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            help="Labelled images (test/good, test/<kind>) to separate; of a bundle, the folder that it was "
            "fitted on. Without it, good images against good images with faults pasted into them.",
            show_default=False,
            rich_help_panel=panels.DATA,
        ),
    ] = None,
    layout: common.Layout = None,
    image_size: Annotated[
        str,
        typer.Option(
            help="Sizes that whole images are resized to.",
            rich_help_panel=panels.DATA,
        ),
    ] = "160,224,320",
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Networks, separated by commas. Without it, pcedge-s, those with --weights, and those in "
            "torchvision's cache.",
            show_default=False,
            rich_help_panel=panels.NETWORK,
        ),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            help="fp32, fp16, int8, separated by commas.",
            rich_help_panel=panels.NETWORK,
        ),
    ] = "fp32,int8",
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
            help="Banks: fractions, per cent or numbers of rows.",
            rich_help_panel=panels.BANK,
        ),
    ] = "0.25%,1%,4%,10%",
    device: common.Device = "auto",
    cache_gb: fit_options.CacheGb = DEFAULT_CACHE_GB,
    seed: fit_options.Seed = 0,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Draw the points into this file (.png, .svg, .pdf).",
            show_default=False,
            rich_help_panel=panels.OUTPUT,
        ),
    ] = None,
    json: common.Json = False,
) -> None:
    """Find the best bundle for a budget: so many milliseconds, so many megabytes, on this device.

    Every network is exported and timed here; those that fit alone get banks of several sizes. What a choice
    is worth is how well it separates good parts that it has not seen from defective ones. Without labelled
    defects these are good parts with pieces of others, thin scars and smudges pasted in, from clear to hardly
    visible: good for comparing settings, no promise for real defects.

    Prints what nothing beats, and the commands that make the best bundle within the budget. Exit code 4:
    nothing fits; what comes nearest is named.
    """
    from pcedge.banks import CoresetSize
    from pcedge.cli.console import progress_bars
    from pcedge.core.figures import check_plot
    from pcedge.studies.planning import Budget, PlanOptions, available_backbones, plot_plan
    from pcedge.studies.planning import plan as make_plan

    if plot is not None:
        check_plot(plot)
    budget = Budget(max_ms, max_mb)
    named, place = _target(dataset, model, models)
    if place is None:
        refuse(
            ctx,
            ("backbone", "weights", "image_size", "layout"),
            "on a bundle, whose own network is kept: there is none to choose",
            "Leave it out, or name the folder of good images: pcedge plan DATASET",
        )
    files = weights_by_backbone(weights or [])
    networks = () if place is None else listed(backbone) if backbone else available_backbones(files)
    check_all_used(files, networks)
    bundle, good, labelled = _opened(named, place, images, layout, models)
    asked = PlanOptions(
        budget=budget,
        backbones=networks,
        image_sizes=numbers(image_size, "--image-size 160,224"),
        coresets=tuple(CoresetSize.parse(size) for size in listed(coreset)),
        precisions=_precisions(precision),
        weights=files,
        seed=seed,
        device=device,
        cache_gb=cache_gb,
    )
    with progress_bars() as progress:
        found = make_plan(good, asked, bundle=bundle, labelled=labelled, progress=progress)
    if plot is not None:
        plot_plan(found, budget, plot)
    if json:
        _print_json(found)
    else:
        _print(found, budget, plot)
    if found.chosen is None:
        raise typer.Exit(NOT_ALL_OK)


def _target(dataset: str | None, model: str | None, models: Path) -> tuple[str | None, Path | None]:
    """The named bundle, or the folder of good images; neither for the current bundle."""
    named, rest = bundle_and_more([dataset] if dataset else [], model, models, alone=True)
    if rest and named is not None:
        raise OptionError(
            f"--model {named} keeps a bundle's network, and {dataset} is to choose among networks.",
            f"Use: pcedge plan {dataset}, or pcedge plan --model {named} --images {dataset}",
        )
    return named, Path(rest[0]) if rest else None


def _opened(
    model: str | None, dataset_path: Path | None, images: Path | None, layout: str | None, models: Path
) -> tuple["Bundle | None", "Dataset", "Dataset | None"]:
    """The bundle, if any, the good images, and the labelled ones, if any."""
    from pcedge.bundles.bundle import find_bundle
    from pcedge.datasets import open_dataset
    from pcedge.deployment.exporting.precisions import find_images

    if dataset_path is not None:
        dataset = open_dataset(dataset_path, layout)
        return None, dataset, None if images is None else open_dataset(images, layout)
    bundle = find_bundle(model, models)
    place = images or Path(bundle.manifest.dataset)
    if not place.is_dir():
        raise OptionError(
            f"The good images that {bundle.manifest.name} was fitted on are needed; there is no folder "
            f"{place} here.",
            f"Name it: pcedge plan{'' if model is None else f' --model {model}'} --images DATASET",
        )
    dataset = find_images(bundle, place)
    shows_defects = images is not None and any(sample.is_defect for sample in dataset.test)
    return bundle, dataset, dataset if shows_defects else None


def _precisions(text: str) -> tuple["Precision", ...]:
    unknown = [name for name in listed(text) if name not in ("fp32", "fp16", "int8")]
    if unknown:
        raise OptionError(f"There is no precision {unknown[0]!r}.", "Choose among fp32, fp16 and int8.")
    return cast("tuple[Precision, ...]", listed(text))


def _print_json(found: "Plan") -> None:
    import json

    import msgspec

    from pcedge.studies.planning import front

    plain = msgspec.to_builtins(found)
    strong = front(found.points)
    for point, stated in zip(found.points, plain["points"], strict=True):
        stated["megabytes"] = round(point.megabytes, 3)
        stated["pareto"] = point in strong
    print(json.dumps(plain, allow_nan=False))


def _print(found: "Plan", budget: "Budget", plot: Path | None) -> None:
    from pcedge.cli.console import out, say

    out.print(plan_table(found, budget))
    for name, reason in found.failed.items():
        say("[yellow]Left out[/] {name}: {reason}", name=name, reason=reason)
    say(
        "Separation: image AUROC of {good} held-out good images against {defective} defective ones ({what}).",
        good=found.good,
        defective=found.defective,
        what=found.measured_on,
    )
    if plot is not None:
        say("Drawn into [bold]{plot}[/].", plot=plot)
    if found.nearest is not None:
        point = found.nearest
        name = f"{point.backbone} at {point.image_size} px in {point.precision}"
        name += f" with a bank of {point.coreset}" if point.coreset else " without any bank"
        say(
            "[bold red]Nothing fits the budget.[/] Nearest: {name}, {ms} ms and {mb} MB.",
            name=name,
            ms=f"{point.frame_ms:.1f}",
            mb=f"{point.megabytes:.1f}",
        )
        return
    say("The best within the budget is marked [bold]>[/]. It is made by:")
    for command in found.commands:
        out.print(command, style="bold", soft_wrap=True, markup=False)


def plan_table(found: "Plan", budget: "Budget") -> "Table":
    """A table of the Pareto-optimal points, marked by the budget."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from pcedge.studies.planning import front

    title = Text(f"Plan for {found.dataset}")
    # Narrow gaps: a row fits into 80 columns.
    table = Table(
        title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    table.add_column("backbone", style="cyan", no_wrap=True)
    for heading in ("px", "precision", "coreset", "rows", "ms", "MB", "separation"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("budget", no_wrap=True)
    strong = front(found.points)
    beaten = [point for point in found.points if point not in strong]
    for point in (*strong, *sorted(beaten, key=lambda one: one.frame_ms)):
        excess = budget.excess(point)
        table.add_row(
            f"> {point.backbone}" if point == found.chosen else f"  {point.backbone}",
            str(point.image_size),
            point.precision,
            point.coreset or "-",
            f"{point.bank_rows:,}" if point.bank_rows else "-",
            f"{point.frame_ms:.1f}",
            f"{point.megabytes:.1f}",
            "-" if point.separation is None else f"{point.separation:.4f}",
            "fits" if excess <= 1 else f"{excess:.1f} times",
            style="" if point in strong else "dim",
        )
    return table
