"""``pcedge evaluate`` with ``--runtimes`` or ``--output``: a run, runtimes side by side."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from pcedge.cli.exit_codes import PARTLY_DONE

if TYPE_CHECKING:
    from pcedge.datasets import Dataset
    from pcedge.evaluation.evaluate import LeakPolicy
    from pcedge.evaluation.runs import Run, RuntimeResult
    from pcedge.inspection.runtimes import RuntimeKind
    from pcedge.methods import AnyBundle


def evaluate_run(
    bundle: "AnyBundle",
    dataset: "Dataset",
    kinds: "Sequence[RuntimeKind]",
    device: str,
    threshold: float | None,
    leaks: "LeakPolicy",
    output: Path | None,
    *,
    json: bool,
) -> None:
    """Evaluate a bundle with every runtime, print the comparison, and store the run with ``--output``."""
    from pcedge.cli.console import out, progress_bars, say
    from pcedge.cli.typed_command import command_line
    from pcedge.datasets import audit
    from pcedge.studies.suite import Circumstances, data_digest, data_facts, evaluate_bundle

    with progress_bars() as progress, tempfile.TemporaryDirectory() as unwanted:
        facts = data_facts(dataset, data_digest(dataset, progress), audit(dataset, progress))
        directory = output or Path(unwanted) / dataset.name
        circumstances = Circumstances(directory.name, "", facts, command=command_line())
        run = evaluate_bundle(
            bundle,
            dataset,
            kinds,
            directory,
            circumstances,
            device=device,
            threshold=threshold,
            policy=leaks,
            progress=progress,
        )
    if json:
        _print_json(run)
    else:
        out.print(runtimes_table([run]))
        say_skipped_runtimes([run])
        for name, reason in run.skipped.items():
            say("[yellow]Problem with[/] {name}: {reason}", name=name, reason=reason)
        if output:
            say("Written to [bold]{output}[/].", output=output)
    if any(result.skipped for result in run.runtimes):
        raise typer.Exit(PARTLY_DONE)


def runtimes_table(runs: Sequence["Run"]) -> Table:
    """A table of runtimes: metrics, times, and differences from the first."""
    table = Table(
        title=Text("Runtimes"),
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for heading in ("category", "runtime"):
        table.add_column(heading, style="cyan", overflow="fold")
    for heading in ("image\nAUROC", "pixel\nAUROC", "AUPRO", "ms a\nframe", "largest\ndifference", "flips"):
        table.add_column(heading, justify="right")
    for run in runs:
        for result in run.runtimes:
            table.add_row(Text(run.name), *_runtime_cells(result))
    return table


def _runtime_cells(result: "RuntimeResult") -> list[Text | str]:
    if result.skipped:
        return [Text(result.runtime), Text("skipped", style="yellow")]
    metrics = (result.metrics.get(name) for name in ("image_auroc", "pixel_auroc", "aupro"))
    difference = result.largest_difference
    return [
        Text(result.description),
        *("-" if metric is None or metric.value is None else f"{metric.value:.4f}" for metric in metrics),
        "-" if result.frame_ms is None else f"{result.frame_ms:.1f}",
        "-" if difference is None else f"{difference:.1e}",
        "-" if difference is None else str(result.flips),
    ]


def say_skipped_runtimes(runs: Sequence["Run"]) -> None:
    """Print why runtimes were skipped, each reason once."""
    from pcedge.cli.console import say

    for runtime, reason in dict.fromkeys((r.runtime, r.skipped) for run in runs for r in run.runtimes):
        if reason:
            say("[yellow]Skipped[/] {runtime}: {reason}", runtime=runtime, reason=reason)


def _print_json(run: "Run") -> None:
    import msgspec

    print(msgspec.json.encode(run).decode())
