"""Methods side by side: a table for each dataset that several of them were run on."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..render.document import Block, Heading, Table, paragraph
from ..render.wording import NOT_MEASURED, interval_text, metric_text
from ..report_data import Study, Subject, load_study, rivals
from ..rules.comparison_rules import comparison_findings


def comparison(study: Study) -> Iterator[Block]:
    """What the methods gave and cost, dataset by dataset; nothing where none were compared."""
    compared = rivals(study)
    if not compared:
        return
    yield Heading("Methods compared")
    yield paragraph(
        "The same images through the same evaluation; what differs is the method. Metrics in percent. A fit "
        "ends with a bundle and its thresholds, a frame's time goes from decoded image to score and map."
    )
    for subjects in compared:
        yield Table(
            f"Methods on {subjects[0].run.data.title}",
            ("method", "image AUROC", "95 % interval", "pixel AUROC", "AUPRO", "fit s", "ms a frame", "MB"),
            tuple(_row(subject) for subject in subjects),
            left=(0,),
        )


def comparison_points(runs: Sequence[Path]) -> list[str]:
    """What follows from a comparison of methods, by the report's fixed rules, a point each.

    Args:
        runs: Directories of the runs.

    Raises:
        ResultError: A run cannot be read.
    """
    found = comparison_findings(load_study(runs))
    return ["".join(span.text for span in finding.spans) for finding in found]


def _row(subject: Subject) -> tuple[str, ...]:
    run = subject.run
    ran = next(result for result in run.runtimes if not result.skipped)
    metrics = run.metrics
    return (
        run.settings.label,
        metric_text(metrics.get("image_auroc")),
        interval_text(metrics.get("image_auroc")),
        metric_text(metrics.get("pixel_auroc")),
        metric_text(metrics.get("aupro")),
        f"{run.fit_s:.0f}",
        NOT_MEASURED if ran.frame_ms is None else f"{ran.frame_ms:.0f}",
        f"{run.bundle_bytes / 1e6:.1f}",
    )
