"""What a comparison found, and its files: plain, with a schema, like those of the runs it is made of."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import msgspec

from pcedge.core.files import replace_file
from pcedge.core.text import csv_row
from pcedge.evaluation.runs import RecordedMetric, Run

COMPARISON_JSON, COMPARISON_CSV = "comparison.json", "comparison.csv"
SCHEMA_VERSION = 1
COMPARED = ("image_auroc", "pixel_auroc", "aupro")


class ComparisonEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One method on one dataset.

    Attributes:
        dataset: Name of the category.
        method: Its name in the comparison.
        run: Directory of the run, beside this file.
        backbone: The network; empty for none.
        metrics: ``image_auroc``, ``pixel_auroc`` and ``aupro``, with intervals, or why they are not defined.
        fit_s: Seconds from the first image to a bundle with its thresholds.
        frame_ms: Median time from decoded image to score and map; None where it was not measured.
        runtime: What ran the network for metrics and time.
        bytes: Size of the bundle, every file in it.
    """

    dataset: str
    method: str
    run: str
    backbone: str
    metrics: dict[str, RecordedMetric]
    fit_s: float
    frame_ms: float | None
    runtime: str
    bytes: int

    @classmethod
    def of(cls, run: Run) -> "ComparisonEntry":
        """From a run."""
        ran = next(result for result in run.runtimes if not result.skipped)
        return cls(
            dataset=run.data.name,
            method=run.settings.label,
            run=run.name,
            backbone=run.settings.backbone,
            metrics={name: run.metrics[name] for name in COMPARED if name in run.metrics},
            fit_s=run.fit_s,
            frame_ms=ran.frame_ms,
            runtime=ran.description,
            bytes=run.bundle_bytes,
        )

    def value(self, metric: str) -> float | None:
        """A metric's value; None where it is not defined."""
        found = self.metrics.get(metric)
        return found.value if found else None


class NotRun(msgspec.Struct, frozen=True, kw_only=True):
    """A method that has no result on a dataset.

    Attributes:
        dataset: Name of the category.
        method: Its name in the comparison.
        reason: Why not.
        hint: What to do about it; empty where nothing is known.
    """

    dataset: str
    method: str
    reason: str
    hint: str = ""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of ``comparison.json``.

    Attributes:
        schema_version: Of this structure.
        command: The command line that made it; empty where it was not the command line.
        about: Method to what it is, for people.
        entries: What was measured, by dataset, in the order asked for.
        not_run: What has no result, and why.
    """

    schema_version: int = SCHEMA_VERSION
    command: str = ""
    about: dict[str, str] = {}
    entries: tuple[ComparisonEntry, ...] = ()
    not_run: tuple[NotRun, ...] = ()

    @property
    def datasets(self) -> tuple[str, ...]:
        """Every dataset, each once."""
        return tuple(
            dict.fromkeys([*(one.dataset for one in self.entries), *(one.dataset for one in self.not_run)])
        )


def write_comparison(directory: Path, comparison: Comparison) -> None:
    """Write ``comparison.json`` and ``comparison.csv``."""
    directory.mkdir(parents=True, exist_ok=True)
    content = msgspec.json.format(msgspec.json.encode(comparison), indent=2) + b"\n"
    replace_file(directory / COMPARISON_JSON, content)
    replace_file(directory / COMPARISON_CSV, _table(comparison.entries).encode())


def _table(entries: Iterable[ComparisonEntry]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    costs = ("fit_s", "frame_ms", "bytes")
    writer.writerow(["dataset", "method", "backbone", *COMPARED, *costs])
    for entry in entries:
        metrics = [entry.value(name) for name in COMPARED]
        named = (entry.dataset, entry.method, entry.backbone)
        writer.writerow(csv_row([*named, *metrics, *(getattr(entry, name) for name in costs)]))
    return text.getvalue()
