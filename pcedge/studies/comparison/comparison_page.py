"""A comparison as Markdown, for a page in a repository; ``pcedge compare --markdown`` writes it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from pcedge.core.preprocessing import Preprocessing
from pcedge.evaluation.runs import Run

from .entries import COMPARED, Comparison, ComparisonEntry

_HEADS = ("method", "image AUROC", "pixel AUROC", "AUPRO", "fit s", "ms a frame", "MB")


def comparison_markdown(
    comparison: Comparison, runs: Sequence[Run], points: Iterable[str], picture: str = ""
) -> str:
    """A page: how it was made, a table for each dataset, the points that follow, what was not run.

    Args:
        comparison: What was found.
        runs: The runs that it is made of.
        points: The discussion, a point each, as plain text.
        image: Address of the plot as seen from the page; empty for none.
    """
    parts = ["# Methods compared", "Made by this command, and not edited:"]
    parts.append(f"```console\n{comparison.command}\n```")
    if runs:
        parts.append(_made(runs))
    parts.append(
        "In per cent, with 95 % confidence intervals where there are any. A fit's time ends with a bundle "
        "and its thresholds; a frame's goes from decoded image to score and map."
    )
    for dataset in comparison.datasets:
        entries = [entry for entry in comparison.entries if entry.dataset == dataset]
        parts += [f"## {dataset}", _table(_HEADS, map(_row, entries))]
    if picture:
        parts.append(f"![Accuracy of every method, and accuracy over time]({picture})")
    if listed := [f"- {point}" for point in points]:
        parts += ["## Discussion", "Each point follows from the numbers by a fixed rule.", "\n".join(listed)]
    parts += ["## The methods", "\n".join(f"- `{name}`: {about}" for name, about in comparison.about.items())]
    if comparison.not_run:
        lines = [f"- {one.method} on {one.dataset}: {one.reason} {one.hint}" for one in comparison.not_run]
        # The page is for other machines too.
        text = "\n".join(line.rstrip() for line in lines).replace(str(Path.home()), "~")
        parts += ["## Not run", text]
    return "\n\n".join(parts) + "\n"


def _made(runs: Sequence[Run]) -> str:
    machine = runs[0].machine
    days = sorted({datetime.fromisoformat(run.created).date().isoformat() for run in runs})
    backbones = dict.fromkeys(
        f"{run.settings.backbone} ({run.settings.weights})" for run in runs if run.settings.backbone
    )
    prepared = dict.fromkeys(_prepared(run.settings.preprocessing) for run in runs)
    return (
        f"Networks: {', '.join(backbones) or 'none'}; {' or '.join(prepared)}; seed "
        f"{runs[0].settings.seed}; pcedge {runs[0].pcedge_version} on "
        f"{machine.processor or 'an unknown processor'}, {machine.cores} cores, {days[-1]}."
    )


def _prepared(stated: Preprocessing) -> str:
    if stated.crop is None:
        return f"whole images to {stated.image_size} px"
    return f"shorter side to {stated.image_size} px, centre {stated.crop} px"


def _row(entry: ComparisonEntry) -> list[str]:
    frame = "" if entry.frame_ms is None else f"{entry.frame_ms:.0f}"
    metrics = [_percent(entry, name) for name in COMPARED]
    return [entry.method, *metrics, f"{entry.fit_s:.0f}", frame, f"{entry.bytes / 1e6:.1f}"]


def _percent(entry: ComparisonEntry, name: str) -> str:
    found = entry.metrics.get(name)
    if found is None or found.value is None:
        return "not defined"
    if found.interval is None:
        return f"{100 * found.value:.2f}"
    low, high = found.interval
    return f"{100 * found.value:.2f} [{100 * low:.1f}, {100 * high:.1f}]"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
