"""Tables of ``pcedge suite``."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from pcedge.evaluation.runs import METRICS, Run

if TYPE_CHECKING:
    from pcedge.studies.suite import Difference, Outcome, Published

COMPARED = ("image_auroc", "pixel_auroc", "aupro")
_MORE = ("false_reject_rate", "miss_rate")
_MISSING = "-"


def results_table(
    outcomes: Sequence["Outcome"], preset: str, published: "Published | None", paper: Mapping[str, float]
) -> Table:
    """A row for each category and one for the mean, in percent, beside published results.

    Args:
        outcomes: Outcomes of all categories.
        preset: Name of the preset.
        published: Results of the official implementation; None for no comparison.
        paper: The paper's means by metric, in percent; empty for no such line.
    """
    from pcedge.studies.suite import differences, means

    runs = [outcome.run for outcome in outcomes if outcome.run]
    found = differences(runs, published) if published else []
    known = {(difference.category, difference.metric): difference for difference in found}
    beside = f"beside the {published.source}" if published else "beside nothing published"
    table = Table(title=Text(f"{preset}, in percent, {beside}"), title_justify="left", title_style="bold")
    table.add_column("category", style="cyan")
    for metric in (*COMPARED, *_MORE):
        table.add_column(METRICS[metric], justify="right")
    table.add_column("ms", justify="right")
    for outcome in outcomes:
        table.add_row(*_line(outcome, known))
    averages = means(runs, (*COMPARED, *_MORE))
    table.add_section()
    table.add_row(
        "mean",
        *(_beside(averages[metric], known.get(("mean", metric))) for metric in (*COMPARED, *_MORE)),
        "",
        style="bold",
    )
    if paper:
        cells = (f"{paper[metric]:.1f}" for metric in COMPARED)
        table.add_row("paper, mean of MVTec AD", *cells, *("" for _ in _MORE), "", style="dim")
    return table


def _line(outcome: "Outcome", known: dict[tuple[str, str], "Difference"]) -> list[str | Text]:
    run = outcome.run
    if run is None:
        return [outcome.name, Text("failed", style="red")]
    cells = [_beside(run.value(metric), known.get((run.name, metric))) for metric in (*COMPARED, *_MORE)]
    ms = next(result.frame_ms for result in run.runtimes if not result.skipped)
    return [outcome.name, *cells, _MISSING if ms is None else f"{ms:.1f}"]


def _beside(value: float | None, difference: "Difference | None") -> Text:
    """A metric in percent and, in colour, its difference in points from the published one."""
    if value is None:
        return Text(_MISSING)
    text = Text(f"{value * 100:.2f}")
    if difference:
        text.append(f" {difference.points:+.2f}", style=_colour(difference))
    return text


def _colour(difference: "Difference") -> str:
    if difference.tolerance is None:
        return "dim"
    return "green" if difference.holds else "red" if difference.points < 0 else "yellow"


def beside_table(runs: Sequence[Run], others: dict[str, list[dict[str, str]]]) -> Table:
    """A table of each run and the results of other tools on its dataset, from their file."""
    columns = shown_columns(others)
    table = Table(title=Text("Beside other tools"), title_justify="left", title_style="bold")
    table.add_column("dataset", style="cyan")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for run in runs:
        for row in [own_row(run, columns), *others.get(run.name, [])]:
            table.add_row(Text(run.name), *(Text(row.get(column, "")) for column in columns))
    return table


def shown_columns(others: dict[str, list[dict[str, str]]]) -> list[str]:
    """Columns of the other tools' file, except dataset and notes."""
    first = next(iter(others.values()))[0]
    return [column for column in first if column not in ("dataset", "note")]


def own_row(run: Run, columns: Sequence[str]) -> dict[str, str]:
    """A run in the columns of the other tools' file, as far as known."""
    settings, prepared = run.settings, run.settings.preprocessing
    frame_ms = next(result.frame_ms for result in run.runtimes if not result.skipped)
    size = prepared.image_size
    known = {
        "tool": "pcedge",
        "coreset": settings.coreset,
        "preprocessing": f"resize{size} crop{prepared.crop}" if prepared.crop else f"whole image to {size}",
        "embedding_dims": str(settings.dims),
        "bank_rows": str(settings.bank_rows),
        "fit_s": _fit_s(run),
        "coreset_s": f"{run.seconds.get('coreset', 0):.1f}",
        "frame_ms": "" if frame_ms is None else f"{frame_ms:.1f}",
        "image_auroc": _four(run.value("image_auroc")),
        "pixel_auroc_all": _four(run.value("pixel_auroc")),
        "aupro": _four(run.value("aupro")),
    }
    return {column: known.get(column, "") for column in columns}


def _four(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _fit_s(run: Run) -> str:
    """Seconds of the fit's stages; empty for a bundle that was only evaluated."""
    return f"{run.fit_s:.1f}" if run.fit_s else ""
