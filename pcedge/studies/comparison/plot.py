"""A comparison as an image: accuracy by method with its intervals, and accuracy over time."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pcedge.core.figures import colours_of, new_figure, save_figure

from .entries import Comparison, ComparisonEntry

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COMPARISON_PLOT = "comparison.png"


def plot_comparison(comparison: Comparison, path: Path) -> None:
    """Draw a comparison into a PNG file: a row for each dataset.

    Raises:
        MissingExtraError: Matplotlib is not installed.
        OutputError: The file cannot be written.
    """
    datasets = [name for name in comparison.datasets if _measured(comparison, name)]
    rows = max(len(datasets), 1)
    figure = new_figure(9, 3.4 * rows)
    colours = colours_of(entry.method for entry in comparison.entries)
    for number, dataset in enumerate(datasets):
        entries = _measured(comparison, dataset)
        bars, times = (figure.add_subplot(rows, 2, 2 * number + side) for side in (1, 2))
        _accuracy(bars, entries, colours, dataset)
        _times(times, entries, colours)
    save_figure(figure, path, "Choose another folder.")


def _measured(comparison: Comparison, dataset: str) -> list[ComparisonEntry]:
    return [
        one for one in comparison.entries if one.dataset == dataset and one.value("image_auroc") is not None
    ]


def _accuracy(
    axes: "Axes", entries: Sequence[ComparisonEntry], colours: dict[str, str], dataset: str
) -> None:
    for place, entry in enumerate(reversed(entries)):
        metric = entry.metrics["image_auroc"]
        value = 100 * (metric.value or 0.0)
        low, high = (100 * end for end in metric.interval) if metric.interval else (value, value)
        axes.plot([low, high], [place, place], color=colours[entry.method], linewidth=2, alpha=0.6)
        axes.plot(value, place, "o", color=colours[entry.method])
        axes.annotate(f"{value:.1f}", (value, place), xytext=(0, 6), textcoords="offset points", fontsize=7)
    axes.set_yticks(range(len(entries)), [entry.method for entry in reversed(entries)])
    axes.set(xlabel="image AUROC, per cent, with 95 % interval", title=dataset)
    axes.grid(alpha=0.3)
    axes.margins(0.08, 0.15)


def _times(axes: "Axes", entries: Sequence[ComparisonEntry], colours: dict[str, str]) -> None:
    for entry in entries:
        if entry.frame_ms is None:
            continue
        point = (entry.frame_ms, 100 * (entry.value("image_auroc") or 0.0))
        axes.scatter(*point, s=40 + 8 * (entry.bytes / 1e6) ** 0.5, color=colours[entry.method], alpha=0.8)
    # Without names, which would cover each other: good methods are close.
    axes.set(
        xlabel="ms a frame; area: size of the bundle",
        ylabel="image AUROC, per cent",
        xscale="log",
        title="colours as on the left",
    )
    axes.grid(alpha=0.3, which="both")
    axes.margins(0.2)
    axes.set_ylim(top=min(axes.get_ylim()[1], 101.5))
