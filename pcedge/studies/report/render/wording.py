"""Numbers and lists as words."""

from collections.abc import Iterable, Sequence

from pcedge.evaluation.runs import RecordedMetric, Run

UNDEFINED = "n. d."
# Where the metrics' own titles are too long.
SHORT = {
    "image_ap": "AP",
    "image_f1_max": "F1, largest",
    "pixel_auroc_anomalous": "pixel AUROC, anomalous",
    "pixel_ap": "pixel AP",
    "pixel_f1_max": "pixel F1, largest",
}
NOT_MEASURED = "–"


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def percent(value: float | None, digits: int = 2) -> str:
    """A share from 0 to 1, in percent."""
    return NOT_MEASURED if value is None else f"{100 * value:.{digits}f}"


def metric_text(metric: RecordedMetric | None) -> str:
    """A metric in percent; apart, what is not defined and what was not measured."""
    if metric is None:
        return NOT_MEASURED
    return UNDEFINED if metric.value is None else percent(metric.value)


def interval_text(metric: RecordedMetric | None) -> str:
    """The 95 % confidence interval of a metric, in percent."""
    if metric is None or metric.interval is None:
        return NOT_MEASURED
    low, high = metric.interval
    return f"{100 * low:.1f} to {100 * high:.1f}"


def points(value: float) -> str:
    """A difference in percentage points, with its sign."""
    return f"{value:+.2f}".replace("-", "−")


def score_text(value: float) -> str:
    """A score or a threshold."""
    return f"{value:.4g}"


def scientific(value: float) -> str:
    """A small number: ``6.7 × 10⁻⁷``."""
    if value == 0:
        return "0"
    digits, _, exponent = f"{value:.1e}".partition("e")
    return f"{digits} × 10{str(int(exponent)).translate(_RAISED)}"


def listed(names: Iterable[str], most: int = 6) -> str:
    """Names in a sentence; of very many, the first and how many more."""
    found = list(names)
    if len(found) > most:
        return f"{', '.join(found[:most])} and {len(found) - most} more"
    return " and ".join(filter(None, (", ".join(found[:-1]), found[-1]))) if found else "none"


def counted(count: int, singular: str, plural: str = "") -> str:
    """``1 image``, ``2 images``."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def reasons(runs: Sequence[tuple[str, Run]], metrics: Iterable[str]) -> dict[str, list[str]]:
    """Why metrics are not defined, to the labels of the runs concerned."""
    found: dict[str, list[str]] = {}
    for metric in metrics:
        for label, run in runs:
            stated = run.metrics.get(metric)
            if stated and stated.value is None:
                names = found.setdefault(stated.reason or "no reason is given", [])
                if label not in names:
                    names.append(label)
    return found
