"""The points of a sweep as an image: accuracy over time, the size of the bank as the size of the point."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pcedge.core.figures import colours_of, new_figure, save_figure

from .points import Point, pareto

PLOT = "pareto.png"


def plot_points(points: Sequence[Point], path: Path, title: str) -> None:
    """Draw the points into a PNG file; those that nothing beats are strong and named.

    Raises:
        MissingExtraError: Matplotlib is not installed.
        OutputError: The file cannot be written.
    """
    figure = new_figure(9, 5.5)
    axes = figure.add_subplot()
    measured = [point for point in points if point.image_auroc is not None]
    front = pareto(measured)
    colours = colours_of(point.backbone for point in measured)
    for point in sorted(measured, key=lambda one: one in front):
        first = next(one for one in measured if one.backbone == point.backbone)
        axes.scatter(
            point.frame_ms,
            _percent(point),
            s=_area(point),
            color=colours[point.backbone],
            label=point.backbone if point is first else None,
            alpha=0.85 if point in front else 0.25,
            edgecolors="black",
            linewidths=1.4 if point in front else 0.3,
        )
    for point in front:
        axes.annotate(
            f"{point.image_size} px, {point.coreset}, b={point.neighbours}",
            (point.frame_ms, _percent(point)),
            xytext=(6, -10),
            textcoords="offset points",
            fontsize=7,
        )
    axes.set(xlabel="ms a frame", ylabel="image AUROC, per cent", title=title)
    axes.grid(alpha=0.3)
    axes.margins(0.12)
    if measured:
        axes.legend(title="area: size of the bank\nstrong: beaten by none", markerscale=0.6, fontsize=8)
    save_figure(figure, path, "Choose another folder.")


def _percent(point: Point) -> float:
    return (point.image_auroc or 0.0) * 100


def _area(point: Point) -> float:
    """Area of a point, in square points of print: grows with the bank's size, to be seen at any."""
    return float(25 + 60 * np.sqrt(point.bank_bytes / 1e6))
