"""``pcedge evaluate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from pcedge.defaults import DEFAULT_MODELS

from . import options

if TYPE_CHECKING:
    from rich.table import Table

    from pcedge.evaluation import Evaluation, LeakPolicy
    from pcedge.metrics import Metric


def evaluate(
    bundle: Annotated[
        str,
        typer.Argument(help="The bundle: its directory, or its name below --models.", show_default=False),
    ],
    dataset: Annotated[
        Path,
        typer.Argument(
            help="A folder in MVTec layout: test/good, test/<kind>, ground_truth/<kind>; pcedge datasets "
            "lists the layouts.",
            show_default=False,
        ),
    ],
    layout: options.Layout = None,
    leaks: Annotated[
        str,
        typer.Option(
            help="What becomes of test images that show what a training image shows: report names them, "
            "exclude also leaves them out, ignore does not look for them."
        ),
    ] = "report",
    runtime: options.Runtime = "auto",
    device: options.Device = "auto",
    precision: options.Precision = "fp32",
    index: options.Index = None,
    threshold: options.Threshold = None,
    models: options.ModelsDir = DEFAULT_MODELS,
    json: options.Json = False,
) -> None:
    """Measure a bundle on labelled images, through the same code that watch runs.

    Prints AUROC, average precision and the best F1 score of images and of pixels, AUPRO, and what the
    threshold makes of the images, with 95 % confidence intervals. A metric that is not defined says why. A
    bundle that was not exported is evaluated in PyTorch.
    """
    from pcedge.bundle import find_bundle
    from pcedge.datasets import open_dataset
    from pcedge.evaluation import evaluate as evaluate_inspector
    from pcedge.precision import one_precision
    from pcedge.runtimes import is_exported, open_inspector, runtime_kind

    from .console import progress_bars
    from .index import note_index

    found = find_bundle(bundle, models).searched_by(index)
    note_index(found)
    images = open_dataset(dataset, layout)
    kind = runtime_kind(runtime)
    if kind == "auto" and not is_exported(found):
        kind = "torch"
    with (
        open_inspector(
            found, runtime=kind, device=device, precision=one_precision(precision), threshold=threshold
        ) as inspector,
        progress_bars() as progress,
    ):
        result = evaluate_inspector(images, inspector, progress, leaks=cast("LeakPolicy", leaks))
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
    from .console import out, say

    out.print(evaluation_table(result, title))
    if result.defects_without_mask:
        say(
            "{count} defective images have no usable mask and are left out of the pixel metrics.",
            count=result.defects_without_mask,
        )
    _list("Problem with", {**result.skipped, **result.unusable_masks})
    if result.leaks:
        say(
            "[bold yellow]{count} test images show what a training image shows:[/] their scores say nothing "
            "about new parts. [bold]--leaks exclude[/] leaves such images out; pcedge datasets says more.",
            count=len(result.leaks),
        )
        _list("Also learned from:", {leak.test: leak.train for leak in result.leaks})


def _list(what: str, findings: dict[str, str]) -> None:
    from .console import say

    for name, reason in list(findings.items())[:5]:
        say("[yellow]{what}[/] {name}: {reason}", what=what, name=name, reason=reason)
    if len(findings) > 5:
        say("[yellow]... and {count} more; --json lists all.[/]", count=len(findings) - 5)


def _share(rate: "Metric", total: int, of: str) -> str:
    if rate.value is None or rate.low is None or rate.high is None:
        return f"not defined: {rate.reason}"
    return f"{rate.value:.2%} of {total} {of} ({rate.low:.2%} to {rate.high:.2%})"
