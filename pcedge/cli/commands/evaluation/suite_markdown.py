"""The tables of ``pcedge suite`` as Markdown, for a page in a repository."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pcedge.evaluation.runs import METRICS, Run

from .suite_tables import own_row, shown_columns

if TYPE_CHECKING:
    from pcedge.studies.suite import Outcome, Published, TrialOptions


def markdown(
    outcomes: Sequence["Outcome"],
    options: "TrialOptions",
    published: "Published | None",
    others: dict[str, list[dict[str, str]]],
) -> str:
    """A page in Markdown: command, results, other tools, runtimes, and what was skipped."""
    runs = [outcome.run for outcome in outcomes if outcome.run]
    parts = [_head(runs, options), _results(outcomes, published)]
    if others and runs:
        parts.append("## Beside other tools\n\n" + _beside(runs, others))
    if any(len(run.runtimes) > 1 for run in runs):
        parts.append("## Runtimes\n\n" + _runtimes(runs))
    if problems := _problems(outcomes):
        parts.append("## Left out\n\n" + problems)
    return "\n\n".join(parts) + "\n"


def _head(runs: Sequence[Run], options: "TrialOptions") -> str:
    lines = ["# Results", "", "Made by this command, and not edited:", ""]
    lines += ["```console", options.command, "```"]
    return "\n".join([*lines, "", _made(runs[0])] if runs else lines)


def _made(run: Run) -> str:
    settings, machine = run.settings, run.machine
    return (
        f"Backbone {settings.backbone} ({', '.join(settings.layers)}), weights {settings.weights}, embedding "
        f"{settings.embedding} with {settings.dims} values, coreset {settings.coreset}, neighbours "
        f"{settings.neighbours}, seed {settings.seed}; pcedge {run.pcedge_version} on "
        f"{machine.processor or 'an unknown processor'}, {machine.cores} cores, {run.created[:10]}."
    )


def _results(outcomes: Sequence["Outcome"], published: "Published | None") -> str:
    from pcedge.studies.suite import differences

    runs = [outcome.run for outcome in outcomes if outcome.run]
    found = differences(runs, published) if published else []
    points = {(d.category, d.metric): f" ({d.points:+.2f})" for d in found}
    shown = [metric for metric in METRICS if any(metric in run.metrics for run in runs)]
    rows = [
        [
            outcome.name,
            *(_percent(outcome.run, metric) + points.get((outcome.name, metric), "") for metric in shown),
        ]
        for outcome in outcomes
    ]
    note = "In percent, with 95 % confidence intervals where there are any"
    note += f"; in brackets, the difference from the {published.source}." if points and published else "."
    return f"{note}\n\n" + _table(["category", *(METRICS[metric] for metric in shown)], rows)


def _percent(run: Run | None, metric: str) -> str:
    found = run.metrics.get(metric) if run else None
    if found is None or found.value is None:
        return "failed" if run is None else "not defined"
    if found.interval is None:
        return f"{found.value * 100:.2f}"
    low, high = found.interval
    return f"{found.value * 100:.2f} [{low * 100:.1f}, {high * 100:.1f}]"


def _beside(runs: Sequence[Run], others: dict[str, list[dict[str, str]]]) -> str:
    columns = shown_columns(others)
    rows = [
        [run.name, *(row.get(column, "") for column in columns)]
        for run in runs
        for row in [own_row(run, columns), *others.get(run.name, [])]
    ]
    return _table(["dataset", *(column.replace("_", " ") for column in columns)], rows)


def _runtimes(runs: Sequence[Run]) -> str:
    rows = [
        [run.name, result.runtime, f"skipped: {result.skipped}", "", "", ""]
        if result.skipped
        else [
            run.name,
            result.description,
            _auroc(result.metrics["image_auroc"].value),
            "" if result.frame_ms is None else f"{result.frame_ms:.1f}",
            "" if result.largest_difference is None else f"{result.largest_difference:.1e}",
            "" if result.largest_difference is None else str(result.flips),
        ]
        for run in runs
        for result in run.runtimes
    ]
    heads = ["category", "runtime", "image AUROC", "ms a frame", "largest score difference", "verdict flips"]
    return _table(heads, rows)


def _auroc(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.4f}"


def _problems(outcomes: Sequence["Outcome"]) -> str:
    lines = [f"- {outcome.name}: {outcome.error}" for outcome in outcomes if outcome.error]
    for outcome in outcomes:
        if outcome.run:
            problems = {**outcome.run.skipped, **outcome.run.unusable_masks}
            lines += [f"- {outcome.name}, `{name}`: {reason}" for name, reason in problems.items()]
    return "\n".join(lines)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
