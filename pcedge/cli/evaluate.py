"""``pcedge evaluate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcedge.defaults import DEFAULT_MODELS

from . import options

if TYPE_CHECKING:
    from rich.table import Table

    from pcedge.evaluation import Evaluation


def evaluate(
    bundle: Annotated[
        str,
        typer.Argument(help="The bundle: its directory, or its name below --models.", show_default=False),
    ],
    dataset: Annotated[
        Path,
        typer.Argument(
            help="A folder in MVTec layout: test/good, test/<kind>, ground_truth/<kind>.",
            show_default=False,
        ),
    ],
    runtime: options.Runtime = "auto",
    device: options.Device = "auto",
    precision: options.Precision = "fp32",
    index: options.Index = None,
    threshold: options.Threshold = None,
    models: options.ModelsDir = DEFAULT_MODELS,
    json: options.Json = False,
) -> None:
    """Measure a bundle on labelled images, through the same code that watch runs.

    Prints image AUROC, pixel AUROC (all images; anomalous images only) and AUPRO, and what the threshold
    makes of the images. A bundle that was not exported is evaluated in PyTorch.
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
    images = open_dataset(dataset)
    kind = runtime_kind(runtime)
    if kind == "auto" and not is_exported(found):
        kind = "torch"
    with (
        open_inspector(
            found, runtime=kind, device=device, precision=one_precision(precision), threshold=threshold
        ) as inspector,
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
