"""The points of a sweep as a picture: accuracy over time, the size of the bank as the size of the point."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pcedge.errors import MissingExtraError

from .points import Point, pareto

PLOT = "pareto.png"


def plot_points(points: Sequence[Point], path: Path, title: str) -> None:
    """Draw the points into a PNG file; those that nothing beats are joined and named.

    Raises:
        MissingExtraError: Matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "matplotlib", "report", "The plot") from None
    figure = Figure(figsize=(9, 5.5), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    measured = [point for point in points if point.image_auroc is not None]
    for backbone in dict.fromkeys(point.backbone for point in measured):
        own = [point for point in measured if point.backbone == backbone]
        axes.scatter(
            [point.frame_ms for point in own],
            [(point.image_auroc or 0.0) * 100 for point in own],
            s=[_area(point) for point in own],
            label=backbone,
            alpha=0.6,
            linewidths=0.8,
            edgecolors="black",
        )
    front = [point for point in pareto(measured) if point in measured]
    axes.plot(
        [point.frame_ms for point in front],
        [(point.image_auroc or 0.0) * 100 for point in front],
        color="black",
        linewidth=0.8,
        linestyle=":",
        label="beaten by none",
    )
    for point in front:
        axes.annotate(
            f"{point.image_size} px, {point.coreset}, b={point.neighbours}",
            (point.frame_ms, (point.image_auroc or 0.0) * 100),
            xytext=(6, -10),
            textcoords="offset points",
            fontsize=7,
        )
    axes.set(xlabel="ms a frame", ylabel="image AUROC, per cent", title=title)
    axes.grid(alpha=0.3)
    axes.margins(0.12)
    legend = axes.legend(title="area: size of the bank", markerscale=0.6)
    legend.get_title().set_fontsize(8)
    figure.savefig(path)


def _area(point: Point) -> float:
    """Area of a point, in square points of print: grows with the bank's size, to be seen at any."""
    return float(25 + 60 * np.sqrt(point.bank_bytes / 1e6))
