"""A plan as an image: separation over time, the size as the size of the point, the budget as a frame."""

from pathlib import Path

import numpy as np

from pcedge.core.figures import colours_of, new_figure, save_figure

from .points import Budget, Plan, front


def plot_plan(plan: Plan, budget: Budget, path: Path) -> None:
    """Draw a plan into a file.

    Raises:
        MissingExtraError: Matplotlib is not installed.
        OutputError: The file cannot be written.
    """
    figure = new_figure(9, 5.5)
    axes = figure.add_subplot()
    measured = [point for point in plan.points if point.separation is not None]
    strong = front(measured)
    colours = colours_of((point.backbone, point.precision) for point in measured)
    named: set[tuple[str, str]] = set()
    for point in sorted(measured, key=lambda one: one in strong):
        name = (point.backbone, point.precision)
        axes.scatter(
            point.frame_ms,
            100 * (point.separation or 0.0),
            s=20 + 35 * np.sqrt(point.megabytes),
            color=colours[name],
            label=None if name in named else " ".join(name),
            alpha=0.85 if point in strong else 0.25,
            edgecolors="red" if point == plan.chosen else "black",
            linewidths=2.5 if point == plan.chosen else 1.0 if point in strong else 0.3,
        )
        named.add(name)
    for point in strong:
        axes.annotate(
            f"{point.image_size} px, {point.coreset}, {point.megabytes:.3g} MB",
            (point.frame_ms, 100 * (point.separation or 0.0)),
            xytext=(7, -11),
            textcoords="offset points",
            fontsize=7,
        )
    if budget.max_ms is not None:
        axes.axvline(budget.max_ms, color="red", linestyle="--", linewidth=1, label="budget")
    axes.set(
        xlabel="ms a frame on this device",
        ylabel="separation: image AUROC, per cent",
        title=f"{plan.dataset}: {plan.good} good, {plan.defective} defective ({plan.measured_on})",
    )
    axes.grid(alpha=0.3)
    axes.margins(0.12)
    axes.set_xlim(left=0.0)
    if measured:
        axes.legend(title="area: size\nstrong: beaten by none\nred: chosen", markerscale=0.6, fontsize=8)
    save_figure(figure, path)
