"""The image of ``benchmarks.false_rejects``: asked against observed, and what is proven."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pcedge.errors import MissingExtraError, OutputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .false_rejects import Row

# Okabe and Ito's blue and vermillion: told apart by colour-blind readers, and in grey.
_COLOURS = {"folds": "#0072B2", "split": "#D55E00"}
_SHIFT = {"folds": 0.96, "split": 1.04}


def draw(results: Mapping[str, "Sequence[Row]"], path: Path) -> None:
    """Draw a panel for each set into a file.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OutputError: The file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "report", "Drawing") from None
    figure = Figure(figsize=(3.4 * len(results), 3.4), layout="constrained")
    panels = figure.subplots(1, len(results), squeeze=False, sharey=True)[0]
    for axes, (name, rows) in zip(panels, results.items(), strict=True):
        _draw_panel(axes, rows)
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("false-reject rate asked for")
    panels[0].set_ylabel("observed on unseen good images")
    panels[0].legend(fontsize=7, loc="upper left", frameon=False)
    try:
        figure.savefig(path, dpi=110)
    except (OSError, ValueError) as error:  # a ValueError is a suffix that names no format
        raise OutputError(f"{path} cannot be written: {error}.", "Choose another --plot FILE.") from error


def _draw_panel(axes: "Axes", rows: "Sequence[Row]") -> None:
    asked = sorted({row.asked for row in rows})
    axes.plot(asked, asked, color="#1c2733", linewidth=0.8, label="as asked for (proven for split)")
    proven = sorted((row.asked, row.proven) for row in rows if row.method == "folds")
    axes.plot(
        *zip(*proven, strict=True), "--", color=_COLOURS["folds"], linewidth=0.8, label="proven for folds"
    )
    for method, colour in _COLOURS.items():
        found = [row for row in rows if row.method == method]
        x = [row.asked * _SHIFT[method] for row in found]
        axes.vlines(
            x,
            [row.lowest for row in found],
            [row.highest for row in found],
            colors=colour,
            linewidth=4,
            alpha=0.25,
        )
        axes.errorbar(
            x,
            [row.observed for row in found],
            [2 * row.standard_error for row in found],
            fmt="o",
            color=colour,
            markersize=3.5,
            linewidth=1,
            label=f"{method}: mean, ± 2 standard errors; 90 % of splits",
        )
    axes.set_xscale("log")
    axes.set_xticks(asked, [f"{rate:.0%}" for rate in asked])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.grid(alpha=0.3)
