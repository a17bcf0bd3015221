"""The summary of a campaign: every category in one file, for programs and for spreadsheets."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from pcedge.core.files import replace_file
from pcedge.core.text import csv_row
from pcedge.evaluation.reference.published import Published, differences, means, paper_means
from pcedge.evaluation.runs import METRICS

from .outcome import Outcome

SUMMARY_JSON, SUMMARY_CSV = "summary.json", "summary.csv"


def summary_of(outcomes: Sequence[Outcome], preset: str, published: Published | None) -> dict[str, Any]:
    """Plain values, ready for JSON.

    Args:
        outcomes: Of all categories.
        preset: Name of the preset.
        published: What they are compared with; None for nothing.
    """
    runs = [outcome.run for outcome in outcomes if outcome.run]
    return {
        "preset": preset,
        "categories": [_category(outcome) for outcome in outcomes],
        "mean": dict(means(runs, METRICS)),
        "published": published.source if published else None,
        "paper_mean_percent": paper_means(preset) or None,
        "differences": [
            {
                "category": difference.category,
                "metric": difference.metric,
                "found_percent": difference.found,
                "published_percent": difference.published,
                "points": difference.points,
                "tolerance": difference.tolerance,
                "holds": difference.holds,
            }
            for difference in (differences(runs, published) if published else [])
        ],
    }


def write_summary(output: Path, summary: dict[str, Any]) -> None:
    """Write ``summary.json`` and ``summary.csv`` into ``output``."""
    content = msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n"
    replace_file(output / SUMMARY_JSON, content)
    replace_file(output / SUMMARY_CSV, _table(summary).encode())


def _category(outcome: Outcome) -> dict[str, Any]:
    run = outcome.run
    return {
        "name": outcome.name,
        "run": outcome.directory.name if run else None,
        "error": outcome.error or None,
        "resumed": outcome.resumed,
        "seconds": outcome.seconds,
        "skipped": run.skipped if run else {},
        "unusable_masks": run.unusable_masks if run else {},
        "problems": list(run.data.problems) if run else [],
        "metrics": msgspec.to_builtins(run.metrics) if run else {},
        "runtimes": msgspec.to_builtins(run.runtimes) if run else [],
    }


def _table(summary: dict[str, Any]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["category", *METRICS, "error"])
    for category in summary["categories"]:
        values = [category["metrics"].get(metric, {}).get("value") for metric in METRICS]
        writer.writerow(csv_row([category["name"], *values, category["error"]]))
    writer.writerow(["mean", *(summary["mean"][metric] for metric in METRICS), None])
    return text.getvalue()
