"""An image of a bench: accuracy over time, where accuracy is known, or times as bars."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pcedge.errors import MissingExtraError, OptionError, OutputError

from .result import FRAME, STAGES, Bench, BenchMeasurement

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SUFFIXES = (".png", ".svg", ".pdf")


def check_plot(path: Path) -> Path:
    """Return the path of an image that can be drawn, before the long work.

    Raises:
        OptionError: Its suffix names no format.
        MissingExtraError: matplotlib is not installed.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise OptionError(f"Cannot draw {path.name}.", f"Choose a name that ends in {', '.join(_SUFFIXES)}.")
    try:
        import matplotlib as mpl  # noqa: F401 (what is missing must be found before the long work)
    except ImportError:
        raise MissingExtraError("matplotlib", "report", "Drawing") from None
    return path


def draw_bench(bench: Bench, path: Path) -> None:
    """Draw a bench into a file.

    Raises:
        OutputError: The file cannot be written.
    """
    try:
        bench_figure(bench).savefig(path, dpi=150)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}.", "Choose another --plot FILE."
        ) from error


def bench_figure(bench: Bench) -> "Figure":
    """Accuracy over time where any accuracy is known, otherwise where the time of a frame goes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
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
