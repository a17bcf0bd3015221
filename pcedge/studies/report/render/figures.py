"""Drawings as SVG: curves, histograms, the overview of all categories; the same numbers, the same bytes."""

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pcedge.errors import MissingExtraError
from pcedge.evaluation.runs import Curve, Curves, Run

from .document import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Told apart by colour-blind readers, and in grey: Okabe and Ito's blue and vermillion.
GOOD, DEFECT, LIMIT, GRID = "#0072B2", "#D55E00", "#1c2733", "#d5dce2"
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "pcedge",
    "svg.fonttype": "path",
    "font.size": 7.5,
    "font.family": "DejaVu Sans",
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.4,
    "legend.edgecolor": "none",
    "legend.framealpha": 0.8,
    "savefig.transparent": True,
}
_WIDTH_IN = 7.1
_BINS = 28
# Above this ratio of the largest score to the smallest, a linear axis shows one bar and a dot.
_LOGARITHMIC = 30


def curves_figure(run: Run, curves: Curves) -> bytes:
    """Histogram of the scores with the threshold, ROC curves, and the PRO curve, beside each other."""

    def draw(figure: "Figure") -> None:
        histogram, roc, pro = figure.subplots(1, 3, width_ratios=(1.35, 1, 1))
        _histogram(histogram, run)
        _roc(roc, run, curves)
        _pro(pro, run, curves.pro)

    return _svg(draw, 2.35)


def overview_figure(rows: Sequence[tuple[str, Run, float | None]]) -> bytes:
    """Image AUROC of every category with its interval, and what was published.

    Args:
        rows: Label, run, and the published image AUROC in percent or None.
    """

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        for place, (_, run, published) in enumerate(rows):
            metric = run.metrics.get("image_auroc")
            if metric and metric.value is not None:
                if metric.interval:
                    axes.plot(
                        [100 * end for end in metric.interval],
                        [place] * 2,
                        color=GOOD,
                        linewidth=2.2,
                        alpha=0.35,
                    )
                axes.plot(100 * metric.value, place, "o", color=GOOD, markersize=4.5)
            if published is not None:
                axes.plot(published, place, "D", color=DEFECT, markersize=4, fillstyle="none")
        axes.set_yticks(range(len(rows)), [shortened(label, 40) for label, _, _ in rows], parse_math=False)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel("image AUROC, %")
        axes.grid(axis="x", color=GRID, linewidth=0.6)

    return _svg(draw, 0.55 + 0.19 * max(len(rows), 3))


def _histogram(axes: "Axes", run: Run) -> None:
    import numpy as np
    from matplotlib.ticker import MaxNLocator

    judged = [row for row in run.images if row.verdict != "INVALID"]
    good = np.array([row.score for row in judged if not row.defect])
    bad = np.array([row.score for row in judged if row.defect])
    held_out = np.array(run.threshold.held_out if run.threshold else ())
    everything = np.concatenate([good, bad, held_out, [run.threshold.score] if run.threshold else []])
    axes.set_title("Image scores")
    if not len(everything):
        _say(axes, "no image was judged")
        return
    low, high = everything.min(), everything.max()
    if low > 0 and high / low > _LOGARITHMIC:
        axes.set_xscale("log")
        edges = np.geomspace(low * 0.98, high * 1.02, _BINS + 1).tolist()
    else:
        margin = (high - low) * 0.02 or max(abs(high), 1.0) * 0.05
        edges = np.linspace(low - margin, high + margin, _BINS + 1).tolist()
    axes.hist(good, edges, color=GOOD, alpha=0.75, label=f"good ({len(good)})")
    axes.hist(bad, edges, color=DEFECT, alpha=0.65, label=f"defective ({len(bad)})")
    if len(held_out):
        axes.plot(
            held_out,
            np.full(len(held_out), 0.025),
            "|",
            color=LIMIT,
            markersize=5,
            alpha=0.5,
            transform=axes.get_xaxis_transform(),
        )
    if run.threshold:
        axes.axvline(run.threshold.score, color=LIMIT, linestyle="--", linewidth=1, label="threshold")
    axes.set_xlabel("anomaly score")
    axes.set_ylabel("test images")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper right", fontsize=6.5, handlelength=1.4)


def _roc(axes: "Axes", run: Run, curves: Curves) -> None:
    axes.set_title("ROC")
    _unit(axes, "false-positive rate", "true-positive rate")
    axes.plot([0, 1], [0, 1], color=GRID, linewidth=0.8)
    if curves.image_roc is None and curves.pixel_roc is None:
        _say(axes, _reason(run, "image_auroc"))
        return
    for curve, name, metric, style in (
        (curves.image_roc, "images", "image_auroc", "-"),
        (curves.pixel_roc, "pixels", "pixel_auroc", ":"),
    ):
        value = run.value(metric)
        if curve is not None:
            label = name if value is None else f"{name}, {100 * value:.2f} %"
            axes.plot(curve.x, curve.y, style, color=GOOD if name == "images" else DEFECT, label=label)
    axes.legend(loc="lower right", fontsize=6.5, handlelength=1.6)


def _pro(axes: "Axes", run: Run, curve: Curve | None) -> None:
    axes.set_title("PRO")
    _unit(axes, "false-positive rate of pixels", "mean overlap")
    if curve is None:
        _say(axes, _reason(run, "aupro"))
        return
    value = run.value("aupro")
    axes.plot(curve.x, curve.y, color=GOOD)
    axes.fill_between(curve.x, curve.y, color=GOOD, alpha=0.12, linewidth=0)
    axes.set_xlim(0, max(run.data.aupro_limit, *curve.x))
    if value is not None:
        axes.text(
            0.97, 0.06, f"AUPRO {100 * value:.2f} %", transform=axes.transAxes, ha="right", fontsize=6.5
        )


def _unit(axes: "Axes", x: str, y: str) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def _reason(run: Run, metric: str) -> str:
    found = run.metrics.get(metric)
    return f"not defined:\n{found.reason}" if found and found.reason else "not measured"


def _say(axes: "Axes", text: str) -> None:
    axes.text(
        0.5,
        0.5,
        text,
        transform=axes.transAxes,
        ha="center",
        va="center",
        wrap=True,
        parse_math=False,
        color="#5d6b78",
    )


def _svg(draw: Callable[["Figure"], None], height_in: float) -> bytes:
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise MissingExtraError("matplotlib", "report", "A report") from None
    picture = io.BytesIO()
    with mpl.rc_context(_STYLE), _boxes_for_unknown_characters():
        figure = Figure(figsize=(_WIDTH_IN, height_in), layout="constrained")
        draw(figure)
        figure.savefig(picture, format="svg", metadata={"Date": None, "Creator": None})
    return picture.getvalue()


@contextmanager
def _boxes_for_unknown_characters() -> Iterator[None]:
    """The font of the drawings lacks some scripts; a box in a label is no reason to complain."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        yield
