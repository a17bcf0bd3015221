"""Published results that runs are laid beside, and what counts as parity with them."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from statistics import fmean

from pcedge.errors import ResultError
from pcedge.evaluation.runs import Run
from pcedge.fitting.presets import PRESETS

# Metric of a run to column of the published tables.
COLUMNS = {"image_auroc": "image_auroc", "pixel_auroc": "pixel_auroc_all", "aupro": "pro_anomalous"}
# In percentage points, either way: largest difference of the mean, and of a category.
TOLERANCES = {"image_auroc": (0.5, 1.5), "pixel_auroc": (0.3, 1.0)}
_PAPER_COLUMNS = {"image_auroc": "image_auroc", "pixel_auroc": "pixel_auroc", "aupro": "pro"}


@dataclass(frozen=True)
class Published:
    """Results of another implementation, in percent: category to metric to value."""

    source: str
    categories: dict[str, dict[str, float]]

    def of(self, category: str, metric: str) -> float | None:
        """A category's result; None where it was not published."""
        return self.categories.get(category, {}).get(metric)


@dataclass(frozen=True)
class Difference:
    """A run's metric beside the published one, in percentage points.

    Attributes:
        category: Name of the category, or ``mean``.
        metric: By the names of ``pcedge.evaluation.runs.METRICS``.
        found: What was measured, in percent.
        published: What was published, in percent.
        tolerance: Largest difference that counts as parity, either way; None where none is stated.
    """

    category: str
    metric: str
    found: float
    published: float
    tolerance: float | None

    @property
    def points(self) -> float:
        """Found less published."""
        return self.found - self.published

    @property
    def holds(self) -> bool:
        """Whether it is within the tolerance, if there is one."""
        return self.tolerance is None or abs(self.points) <= self.tolerance + 1e-9


def published_for(preset: str) -> Published | None:
    """The official implementation's results in the configuration that a preset does again; None for none."""
    found = PRESETS.get(preset)
    if found is None or not found.official:
        return None
    rows = [row for row in _rows("mvtec_official.csv") if row["configuration"] == found.official]
    return Published(
        f"official {found.official.replace('_', ' ')}",
        {
            row["category"]: {metric: float(row[column]) for metric, column in COLUMNS.items()}
            for row in rows
            if row["category"] != "Mean"
        },
    )


def paper_means(preset: str) -> dict[str, float]:
    """The paper's means over the 15 categories of MVTec AD, in percent, for a preset; empty for none."""
    found = PRESETS.get(preset)
    share = found.paper if found else ""
    for row in _rows("mvtec_paper.csv"):
        if row["coreset"] == share:
            return {metric: float(row[column]) for metric, column in _PAPER_COLUMNS.items()}
    return {}


def read_results(path: Path) -> dict[str, list[dict[str, str]]]:
    """Other tools' results from a CSV file, by dataset: columns ``tool``, ``dataset``, ``image_auroc``, ...

    Raises:
        ResultError: It cannot be read or has no such columns.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ResultError(f"{path} cannot be read ({error}).", "Check the path given to --beside.") from error
    if not rows or not {"tool", "dataset", "image_auroc"} <= rows[0].keys():
        raise ResultError(
            f"{path} has no results to lay beside.",
            "Expected a CSV file with the columns tool, dataset, image_auroc and others to show.",
        )
    found: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        found.setdefault(row["dataset"], []).append({key: value or "" for key, value in row.items() if key})
    return found


def differences(runs: Iterable[Run], published: Published) -> list[Difference]:
    """Every metric of every category that was published too, and the means over these categories."""
    found: list[Difference] = []
    listed = list(runs)
    for metric in COLUMNS:
        mean, category = TOLERANCES.get(metric, (None, None))
        pairs: list[tuple[float, float]] = []
        for run in listed:
            value, expected = run.value(metric), published.of(run.name, metric)
            if value is None or expected is None:
                continue
            pairs.append((value * 100, expected))
            found.append(Difference(run.name, metric, value * 100, expected, category))
        if pairs:
            means = (fmean(value for value, _ in pairs), fmean(expected for _, expected in pairs))
            found.append(Difference("mean", metric, *means, mean))
    return found


def means(runs: Iterable[Run], metrics: Iterable[str]) -> Mapping[str, float | None]:
    """Means over the runs in which a metric is defined; None where it is in none."""
    listed = list(runs)
    values = {metric: [v for run in listed if (v := run.value(metric)) is not None] for metric in metrics}
    return {metric: fmean(found) if found else None for metric, found in values.items()}


def _rows(name: str) -> list[dict[str, str]]:
    text = (files("pcedge.evaluation.reference") / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
