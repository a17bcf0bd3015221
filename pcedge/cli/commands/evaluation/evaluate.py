"""``pcedge evaluate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcedge.cli.options import common, evaluate_options, panels
from pcedge.cli.options.given import Unused, refuse_unused
from pcedge.cli.options.old_forms import Second, bundle_and_one
from pcedge.core.defaults import DEFAULT_MODELS

if TYPE_CHECKING:
    from rich.table import Table

    from pcedge.datasets import Dataset
    from pcedge.evaluation.evaluate import Evaluation, LeakPolicy
    from pcedge.evaluation.metrics import Metric
    from pcedge.methods import AnyBundle


_UNUSED = (
    Unused(
        lambda given: given["runtimes"] is not None,
        ("runtime",),
        "beside --runtimes, which names all that are compared",
        "Leave out one of them.",
    ),
)


def evaluate(
    ctx: typer.Context,
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="A folder of labelled images: test/good, test/<kind>, ground_truth/<kind>.",
            show_default=False,
        ),
    ],
    second: Second = None,
    model: common.Model = None,
    models: common.ModelsDir = DEFAULT_MODELS,
    layout: common.Layout = None,
    leaks: evaluate_options.Leaks = "report",
    threshold: common.Threshold = None,
    runtime: common.Runtime = "auto",
    runtimes: evaluate_options.Runtimes = None,
    device: common.Device = "auto",
    precision: common.Precision = "fp32",
    index: common.Index = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Keep the result as a run, in plain files in this directory.",
            show_default=False,
            rich_help_panel=panels.OUTPUT,
        ),
    ] = None,
    json: common.Json = False,
) -> None:
    """Measure a bundle on labelled images.

    [bold]pcedge evaluate mvtec/bottle[/] judges the test images through the same code that watch runs, and
    prints AUROC, average precision and the best F1 score of images and of pixels, AUPRO, and what the
    threshold makes of the images, with 95 % confidence intervals. A metric that is not defined says why. A
    bundle that was not exported is evaluated in PyTorch.

    To fit and measure every category of a benchmark: [bold]pcedge suite mvtec[/].
    """
    from pcedge.datasets import open_dataset
    from pcedge.evaluation.evaluate import leak_policy
    from pcedge.inspection.precision import one_precision
    from pcedge.methods import find_any_bundle

    from ..bundle.index import note_index

    refuse_unused(ctx, _UNUSED)
    named, place = bundle_and_one(dataset, second, model, models, "dataset")
    found = find_any_bundle(named, models).searched_by(index).in_precision(one_precision(precision))
    note_index(found)
    _evaluate_bundle(
        found,
        open_dataset(place, layout),
        leak_policy(leaks),
        runtime,
        runtimes,
        device,
        threshold,
        output,
        json=json,
    )


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
    if result.masks:
        table.add("masks", result.masks)
    doubt = f" (on {len(result.doubtful_masks)} doubtful masks)" if result.doubtful_masks else ""
    table.add("pixel AUROC", f"{found.pixel_auroc}{doubt}")
    table.add("pixel AUROC, anomalous", f"{found.pixel_auroc_anomalous}{doubt}")
    table.add("pixel AP", f"{found.pixel_ap}{doubt}")
    table.add("pixel F1-max", f"{found.pixel_f1_max}{doubt}")
    table.add(f"AUPRO ({limit})", f"{found.aupro}{doubt}")
    table.add(f"AUPRO, all images ({limit})", f"{found.aupro_all}{doubt}")
    table.add("false rejects", _share(found.false_reject_rate, result.good, "good images"))
    table.add("misses", _share(found.miss_rate, result.defective, "defective images"))
    table.add("threshold", f"{result.threshold:.4g}")
    table.add("runtime", f"{result.runtime}, {result.frame_ms:.1f} ms a frame (median)")
    return table


def _print_result(result: "Evaluation", title: str) -> None:
    from pcedge.cli.console import out, say

    from ..bundle.fit_notes import print_left_out

    out.print(evaluation_table(result, title))
    if result.defects_without_mask:
        say(
            "{count} defective images have no usable mask and are left out of the pixel metrics.",
            count=result.defects_without_mask,
        )
    _list("INVALID:", dict.fromkeys(result.invalid, "its score is not a finite number"))
    _list("Problem with", {**result.skipped, **result.unusable_masks})
    _list("Doubtful mask", result.doubtful_masks)
    print_left_out(result.left_out)
    if result.contradictions:
        say(
            "[bold yellow]{count} images are labelled good in one place and defective in another:[/] no "
            "metric can be right about them.",
            count=len(result.contradictions),
        )
        _list("Labelled both ways:", {one.defective: one.good for one in result.contradictions})
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
