"""``pcedge evaluate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcedge.cli.options import common, fit_options
from pcedge.core.defaults import DEFAULT_CACHE_GB, DEFAULT_MODELS

if TYPE_CHECKING:
    from rich.table import Table

    from pcedge.datasets import Dataset
    from pcedge.evaluation.evaluate import Evaluation, LeakPolicy
    from pcedge.evaluation.metrics import Metric
    from pcedge.methods import AnyBundle


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
    layout: common.Layout = None,
    leaks: Annotated[
        str,
        typer.Option(
            help="What becomes of test images that show what a training image shows: report names them, "
            "exclude also leaves them out, ignore does not look for them."
        ),
    ] = "report",
    runtime: common.Runtime = "auto",
    runtimes: Annotated[
        str | None,
        typer.Option(
            help="Compare runtimes on the same images: torch,onnx,tensorrt. The others are compared with the "
            "first; one that is not installed is listed with the reason.",
            show_default=False,
        ),
    ] = None,
    device: common.Device = "auto",
    precision: common.Precision = "fp32",
    index: common.Index = None,
    threshold: common.Threshold = None,
    models: common.ModelsDir = DEFAULT_MODELS,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Where results go as plain files: of a bundle, its run; with --all, a run for each category "
            "(without it, runs/<preset>, with -<backbone> if one is named).",
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(help="--all: categories at once.", min=1, max=64)] = 1,
    preset: fit_options.Preset = "official-224",
    backbone: fit_options.Backbone = None,
    weights: fit_options.Weights = None,
    layers: fit_options.Layers = None,
    image_size: fit_options.ImageSize = None,
    crop: fit_options.Crop = None,
    embedding: fit_options.Embedding = None,
    coreset: fit_options.Coreset = None,
    neighbours: fit_options.Neighbours = 1,
    false_reject_rate: fit_options.FalseRejectRate = None,
    seed: fit_options.Seed = 0,
    memory_gb: fit_options.MemoryGb = None,
    cache_gb: fit_options.CacheGb = DEFAULT_CACHE_GB,
    keep_bundles: Annotated[
        bool, typer.Option("--keep-bundles", help="--all: keep the bundles, in bundles beside the runs.")
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
    json: common.Json = False,
) -> None:
    """Measure a bundle on labelled images, or fit and measure every category of a benchmark.

    [bold]pcedge evaluate models/bottle mvtec/bottle[/] judges the test images through the same code that
    watch runs, and prints AUROC, average precision and the best F1 score of images and of pixels, AUPRO, and
    what the threshold makes of the images, with 95 % confidence intervals. A metric that is not defined says
    why. A bundle that was not exported is evaluated in PyTorch.

    [bold]pcedge evaluate mvtec --all[/] fits and evaluates every category, prints a table beside the official
    results and the paper's, and leaves a run for each in plain files. An image or a category that cannot be
    used costs itself, with a line in the result; the exit code is then 3.
    """
    if every:
        from .evaluate_all import CampaignOptions, evaluate_all

        asked = fit_options.Recipe(
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
            CampaignOptions(
                asked,
                runtimes,
                _leak_policy(leaks),
                output,
                jobs,
                keep_bundles,
                parity,
                beside,
                markdown,
                json,
            ),
        )
        return
    if len(targets) != 2:
        raise typer.BadParameter(
            f"{len(targets)} given. Name a bundle and a dataset, or add --all to fit and evaluate folders.",
            param_hint="BUNDLE DATASET",
        )
    from pcedge.datasets import open_dataset
    from pcedge.inspection.precision import one_precision
    from pcedge.methods import find_any_bundle

    from ..bundle.index import note_index

    found = find_any_bundle(targets[0], models).searched_by(index).in_precision(one_precision(precision))
    note_index(found)
    _evaluate_bundle(
        found,
        open_dataset(Path(targets[1]), layout),
        _leak_policy(leaks),
        runtime,
        runtimes,
        device,
        threshold,
        output,
        json=json,
    )


def _leak_policy(name: str) -> "LeakPolicy":
    from pcedge.evaluation.evaluate import leak_policy

    return leak_policy(name)


def _evaluate_bundle(
    found: "AnyBundle",
    images: "Dataset",
    leaks: "LeakPolicy",
    runtime: str,
    runtimes: str | None,
    device: str,
    threshold: float | None,
    output: Path | None,
    *,
    json: bool,
) -> None:
    from pcedge.cli.console import progress_bars
    from pcedge.evaluation.evaluate import evaluate as evaluate_detector
    from pcedge.inspection.runtimes import runtime_kind
    from pcedge.methods import open_detector

    kind = runtime_kind(runtime)
    if kind == "auto" and not found.is_exported:
        kind = "torch"
    if runtimes is not None or output is not None:
        from pcedge.studies.suite import parse_runtimes

        from .evaluate_run import evaluate_run

        kinds = parse_runtimes(runtimes) if runtimes else (kind,)
        evaluate_run(found, images, kinds, device, threshold, leaks, output, json=json)
        return
    with (
        open_detector(found, runtime=kind, device=device, threshold=threshold) as detector,
        progress_bars() as progress,
    ):
        result = evaluate_detector(images, detector, progress, leaks=leaks)
    if json:
        _print_json(result)
    else:
        _print_result(result, images.title)


def _print_json(result: "Evaluation") -> None:
    import json

    print(json.dumps(result.to_dict(), allow_nan=False))


def evaluation_table(result: "Evaluation", title: str) -> "Table":
    """The metrics as a table."""
    from pcedge.cli.console import Facts

    found = result.metrics
    limit = f"limit {result.aupro_limit:g}"
    table = Facts(f"Evaluated on {title}")
    table.add("image AUROC", str(found.image_auroc))
    table.add("image AP", str(found.image_ap))
    table.add("image F1-max", str(found.image_f1_max))
    table.add("pixel AUROC", str(found.pixel_auroc))
    table.add("pixel AUROC, anomalous", str(found.pixel_auroc_anomalous))
    table.add("pixel AP", str(found.pixel_ap))
    table.add("pixel F1-max", str(found.pixel_f1_max))
    table.add(f"AUPRO ({limit})", str(found.aupro))
    table.add(f"AUPRO, all images ({limit})", str(found.aupro_all))
    table.add("false rejects", _share(found.false_reject_rate, result.good, "good images"))
    table.add("misses", _share(found.miss_rate, result.defective, "defective images"))
    table.add("threshold", f"{result.threshold:.4g}")
    table.add("runtime", f"{result.runtime}, {result.frame_ms:.1f} ms a frame (median)")
    return table


def _print_result(result: "Evaluation", title: str) -> None:
    from pcedge.cli.console import out, say

    out.print(evaluation_table(result, title))
    if result.defects_without_mask:
        say(
            "{count} defective images have no usable mask and are left out of the pixel metrics.",
            count=result.defects_without_mask,
        )
    _list("INVALID:", dict.fromkeys(result.invalid, "its score is not a finite number"))
    _list("Problem with", {**result.skipped, **result.unusable_masks})
    if result.leaks:
        say(
            "[bold yellow]{count} test images show what a training image shows:[/] their scores say nothing "
            "about new parts. [bold]--leaks exclude[/] leaves such images out; pcedge datasets says more.",
            count=len(result.leaks),
        )
        _list("Also learned from:", {leak.test: leak.train for leak in result.leaks})


def _list(what: str, findings: dict[str, str]) -> None:
    from pcedge.cli.console import say

    for name, reason in list(findings.items())[:5]:
        say("[yellow]{what}[/] {name}: {reason}", what=what, name=name, reason=reason)
    if len(findings) > 5:
        say("[yellow]... and {count} more; --json lists all.[/]", count=len(findings) - 5)


def _share(rate: "Metric", total: int, of: str) -> str:
    if rate.value is None or rate.low is None or rate.high is None:
        return f"not defined: {rate.reason}"
    return f"{rate.value:.2%} of {total} {of} ({rate.low:.2%} to {rate.high:.2%})"
