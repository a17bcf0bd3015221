"""An image of a bench: accuracy over time, where accuracy is known, or times as bars."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pcedge.core.figures import new_figure, save_figure

from .result import FRAME, STAGES, Bench, BenchMeasurement

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_bench(bench: Bench, path: Path) -> None:
    """Draw a bench into a file.

    Raises:
        OutputError: The file cannot be written.
    """
    save_figure(bench_figure(bench), path)


def bench_figure(bench: Bench) -> "Figure":
    """Accuracy over time where any accuracy is known, otherwise where the time of a frame goes."""
    figure = new_figure(8, 4.5)
    axes = figure.add_subplot()
    axes.set_xlabel("milliseconds from decoded image to verdict and map")
    if any(measured.image_auroc is not None for measured in bench.measured):
        for measured in bench.measured:
            _draw_point(axes, measured)
        axes.set_ylabel("image AUROC")
        axes.grid(alpha=0.3)
    else:
        _draw_bars(axes, bench.measured)
    axes.set_xlim(left=0.0)  # once all is drawn: it fixes the other end too
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    axes.set_title(Path(bench.bundle).name, loc="left")
    return figure


def _draw_point(axes: "Axes", measured: BenchMeasurement) -> None:
    """A point at the median, and from it a line to the time that 95 % of the frames keep to."""
    if measured.image_auroc is None:
        return
    frame = measured.stages[FRAME]
    points = axes.plot([frame.p50], [measured.image_auroc], "o", label=_label(measured))
    axes.plot([frame.p50, frame.p95], [measured.image_auroc] * 2, color=points[0].get_color(), alpha=0.5)


def _draw_bars(axes: "Axes", measured: Sequence[BenchMeasurement]) -> None:
    """Without labelled images: where the time of a frame goes."""
    names = [_label(one) for one in measured]
    start = [0.0] * len(names)
    for stage in STAGES:
        times = [one.stages[stage].p50 for one in measured]
        axes.barh(names, times, left=start, label=stage)
        start = [a + b for a, b in zip(start, times, strict=True)]
    axes.invert_yaxis()


def _label(measured: BenchMeasurement) -> str:
    return f"{measured.called} {measured.precision}"
