"""``pcedge evaluate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcedge.defaults import DEFAULT_CACHE_GB, DEFAULT_MODELS

from . import options, recipe

if TYPE_CHECKING:
    from rich.table import Table

    from pcedge.bundle import Bundle
    from pcedge.datasets import Dataset
    from pcedge.evaluation import Evaluation


def evaluate(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="BUNDLE DATASET | --all FOLDER...",
            help="A bundle (its directory, or its name below --models) and a folder of labelled images: "
            "test/good, test/<kind>, ground_truth/<kind>. With --all: folders of one category each, or "
            "folders that hold several, such as mvtec.",
            show_default=False,
        ),
    ],
    every: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Fit and evaluate every category, beside the published results. What is finished is not "
            "done again.",
        ),
    ] = False,
    layout: options.Layout = None,
    runtime: options.Runtime = "auto",
    runtimes: Annotated[
        str | None,
        typer.Option(
            help="Compare runtimes on the same images: torch,onnx,tensorrt. The others are compared with the "
            "first; one that is not installed is listed with the reason.",
            show_default=False,
        ),
    ] = None,
    device: options.Device = "auto",
    threshold: options.Threshold = None,
    models: options.ModelsDir = DEFAULT_MODELS,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Where results go as plain files: of a bundle, its run; with --all, a run for each category "
            "(without it, runs/<preset>).",
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(help="--all: categories at once.", min=1, max=64)] = 1,
    preset: recipe.Preset = "official-224",
    backbone: recipe.Backbone = None,
    weights: recipe.Weights = None,
    layers: recipe.Layers = None,
    image_size: recipe.ImageSize = None,
    crop: recipe.Crop = None,
    embedding: recipe.Embedding = None,
    coreset: recipe.Coreset = None,
    neighbours: recipe.Neighbours = 1,
    false_reject_rate: recipe.FalseRejectRate = None,
    seed: recipe.Seed = 0,
    memory_gb: recipe.MemoryGb = None,
    cache_gb: recipe.CacheGb = DEFAULT_CACHE_GB,
    keep_bundles: Annotated[
        bool, typer.Option("--keep-bundles", help="--all: keep the bundles, in models beside the runs.")
    ] = False,
    parity: Annotated[
        str | None,
        typer.Option(
            help="--all: official, to end with exit code 1 unless image AUROC lies within 0.5 points of the "
            "official implementation in the mean and 1.5 in every category, and pixel AUROC within 0.3 and "
            "1.0.",
            show_default=False,
        ),
    ] = None,
    beside: Annotated[
        Path | None,
        typer.Option(
            help="--all: a CSV file (tool, dataset, image_auroc, ...) of other tools' results to show.",
            show_default=False,
        ),
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option(help="--all: also write the tables as Markdown, to this file.", show_default=False),
    ] = None,
    json: options.Json = False,
) -> None:
    """Measure a bundle on labelled images, or fit and measure every category of a benchmark.

    [bold]pcedge evaluate models/bottle mvtec/bottle[/] judges the test images through the same code that
    watch runs, and prints image AUROC, pixel AUROC (all images; anomalous images only) and AUPRO, and what
    the threshold makes of the images. A bundle that was not exported is evaluated in PyTorch.

    [bold]pcedge evaluate mvtec --all[/] fits and evaluates every category, prints a table beside the official
    results and the paper's, and leaves a run for each in plain files. An image or a category that cannot be
    used costs itself, with a line in the result; the exit code is then 3.
    """
    if every:
        from .evaluate_all import CampaignOptions, evaluate_all

        asked = recipe.Recipe(
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
        evaluate_all(
            [Path(target) for target in targets],
            CampaignOptions(asked, runtimes, output, jobs, keep_bundles, parity, beside, markdown, json),
        )
        return
    if len(targets) != 2:
        raise typer.BadParameter(
            f"{len(targets)} given. Name a bundle and a dataset, or add --all to fit and evaluate folders.",
            param_hint="BUNDLE DATASET",
        )
    from pcedge.bundle import find_bundle
    from pcedge.datasets import open_dataset

    _evaluate_bundle(
        find_bundle(targets[0], models),
        open_dataset(Path(targets[1]), layout),
        runtime,
        runtimes,
        device,
        threshold,
        output,
        json=json,
    )


def _evaluate_bundle(
    found: "Bundle",
    images: "Dataset",
    runtime: str,
    runtimes: str | None,
    device: str,
    threshold: float | None,
    output: Path | None,
    *,
    json: bool,
) -> None:
    from pcedge.evaluation import evaluate as evaluate_inspector
    from pcedge.runtimes import is_exported, open_inspector, runtime_kind

    from .console import progress_bars

    kind = runtime_kind(runtime)
    if kind == "auto" and not is_exported(found):
        kind = "torch"
    if runtimes is not None or output is not None:
        from pcedge.trials import parse_runtimes

        from .evaluate_run import evaluate_run

        kinds = parse_runtimes(runtimes) if runtimes else (kind,)
        evaluate_run(found, images, kinds, device, threshold, output, json=json)
        return
    with (
        open_inspector(found, runtime=kind, device=device, threshold=threshold) as inspector,
        progress_bars() as progress,
    ):
        result = evaluate_inspector(images, inspector, progress)
    if json:
        _print_json(result)
    else:
        _print_result(result, images.title)


def _print_json(result: "Evaluation") -> None:
    import json

    print(json.dumps(result.to_dict(), allow_nan=False))


def evaluation_table(result: "Evaluation", title: str) -> "Table":
    """The metrics as a table."""
    from .console import Facts

    table = Facts(f"Evaluated on {title}")
    table.add("image AUROC", _metric(result.image_auroc, "needs good and defective images"))
    no_masks = "needs masks of defects"
    table.add("pixel AUROC", _metric(result.pixel_auroc, no_masks))
    table.add("pixel AUROC, anomalous", _metric(result.pixel_auroc_anomalous, no_masks))
    table.add("AUPRO (limit 0.3)", _metric(result.aupro, no_masks))
    table.add("false rejects", _share(result.false_reject_rate, result.good, "good images"))
    table.add("misses", _share(result.miss_rate, result.defective, "defective images"))
    table.add("threshold", f"{result.threshold:.4g}")
    table.add("runtime", f"{result.runtime}, {result.frame_ms:.1f} ms a frame (median)")
    return table


def _print_result(result: "Evaluation", title: str) -> None:
    from .console import out, say

    out.print(evaluation_table(result, title))
    if result.defects_without_mask:
        say(
            "{count} defective images have no usable mask and are left out of the pixel metrics.",
            count=result.defects_without_mask,
        )
    problems = {**result.skipped, **result.unusable_masks}
    for name, reason in list(problems.items())[:5]:
        say("[yellow]Problem with[/] {name}: {reason}", name=name, reason=reason)
    if len(problems) > 5:
        say("[yellow]... and {count} more problems; --json lists all.[/]", count=len(problems) - 5)


def _metric(value: float | None, reason: str) -> str:
    return f"not defined: {reason}" if value is None else f"{value:.4f}"


def _share(rate: float | None, total: int, of: str) -> str:
    return f"no {of}" if rate is None else f"{rate:.2%} of {total} {of}"
