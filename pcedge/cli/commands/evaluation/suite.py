"""``pcedge suite``."""

from pathlib import Path
from typing import Annotated

import typer

from pcedge.cli.options import common, evaluate_options, fit_options, panels
from pcedge.cli.options.given import Unused, refuse_unused
from pcedge.core.defaults import DEFAULT_CACHE_GB

_UNUSED = (
    Unused(
        lambda given: given["json"] and given["markdown"] is None,
        ("beside",),
        "on what --json prints",
        "Leave it out, or add --markdown FILE, which shows other tools' results.",
    ),
)


def suite(
    ctx: typer.Context,
    datasets: Annotated[
        list[Path],
        typer.Argument(
            metavar="DATASETS...",
            help="Folders of one category each, or folders that hold several, such as mvtec.",
            show_default=False,
        ),
    ],
    layout: common.Layout = None,
    leaks: evaluate_options.Leaks = "report",
    image_size: fit_options.ImageSize = None,
    crop: fit_options.Crop = None,
    preset: fit_options.Preset = "official-224",
    backbone: fit_options.Backbone = None,
    weights: fit_options.Weights = None,
    layers: fit_options.Layers = None,
    embedding: fit_options.Embedding = None,
    coreset: fit_options.Coreset = None,
    neighbours: fit_options.Neighbours = 1,
    false_reject_rate: fit_options.FalseRejectRate = None,
    runtimes: evaluate_options.Runtimes = None,
    device: common.Device = "auto",
    jobs: Annotated[
        int, typer.Option(help="Categories at once.", min=1, max=64, rich_help_panel=panels.RUNTIME)
    ] = 1,
    memory_gb: fit_options.MemoryGb = None,
    cache_gb: fit_options.CacheGb = DEFAULT_CACHE_GB,
    seed: fit_options.Seed = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Where results go as plain files, a run for each category. Without it, runs/<preset>, with "
            "-<backbone> if one is named.",
            show_default=False,
            rich_help_panel=panels.OUTPUT,
        ),
    ] = None,
    parity: Annotated[
        str | None,
        typer.Option(
            help="official, to end with exit code 1 unless image AUROC lies within 0.5 points of the "
            "official implementation in the mean and 1.5 in every category, and pixel AUROC within 0.3 and "
            "1.0.",
            show_default=False,
            rich_help_panel=panels.OUTPUT,
        ),
    ] = None,
    beside: Annotated[
        Path | None,
        typer.Option(
            help="A CSV file (tool, dataset, image_auroc, ...) of other tools' results to show.",
            show_default=False,
            rich_help_panel=panels.OUTPUT,
        ),
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option(
            help="Also write the tables as Markdown, to this file.",
            show_default=False,
            rich_help_panel=panels.OUTPUT,
        ),
    ] = None,
    keep_bundles: Annotated[
        bool,
        typer.Option(
            "--keep-bundles",
            help="Keep the bundles, in bundles beside the runs.",
            rich_help_panel=panels.OUTPUT,
        ),
    ] = False,
    json: common.Json = False,
) -> None:
    """Fit and measure every category of a benchmark, beside the published results.

    [bold]pcedge suite mvtec[/] fits and evaluates every category, prints a table beside the official results
    and the paper's, and leaves a run for each in plain files. What is finished is not done again. An image or
    a category that cannot be used costs itself, with a line in the result; the exit code is then 3.
    """
    from pcedge.evaluation.evaluate import leak_policy

    from .suite_run import SuiteOptions, run_suite

    refuse_unused(ctx, _UNUSED)
    recipe = fit_options.Recipe(
        preset=preset,
        backbone=backbone,
        weights=weights,
        layers=layers,
        image_size=image_size,
        crop=crop,
        embedding=embedding,
        coreset=coreset,
        neighbours=neighbours,
        false_reject_rate=false_reject_rate,
        seed=seed,
        device=device,
        memory_gb=memory_gb,
        cache_gb=cache_gb,
        layout=layout,
    )
    run_suite(
        datasets,
        SuiteOptions(
            recipe,
            runtimes,
            leak_policy(leaks),
            output,
            jobs,
            keep_bundles,
            parity,
            beside,
            markdown,
            json,
        ),
    )
