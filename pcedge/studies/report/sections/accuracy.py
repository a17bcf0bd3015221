"""The results: what was measured, beside what was published."""

from collections.abc import Iterator, Sequence

from pcedge.evaluation.runs import METRICS, Run, ThresholdFacts
from pcedge.studies.suite import means

from ..render.document import Block, Heading, Note, Plot, Table, paragraph, prose
from ..render.wording import (
    NOT_MEASURED,
    SHORT,
    counted,
    interval_text,
    listed,
    metric_text,
    percent,
    points,
    reasons,
    score_text,
)
from ..report_data import MEAN, Group, Study, Subject, interval_of

_IMAGE = ("image_auroc", "image_ap", "image_f1_max")
_PIXEL = ("pixel_auroc", "pixel_auroc_anomalous", "pixel_ap", "pixel_f1_max")
_REGION = ("aupro", "aupro_all")
OVERVIEW = "overview.svg"
_PAPER_CATEGORIES = 15


def accuracy(study: Study) -> Iterator[Block]:
    """Tables group by group, and the overview where there is more than one run."""
    yield Heading("Results")
    for name, reason in study.failed:
        yield Note(prose("*{name} has no results:* {reason}", name=name, reason=reason))
    for group in study.groups:
        if len(study.groups) > 1:
            yield Heading(group.title, level=2)
        yield from _beside(group)
        for title, metrics in (
            ("Image level", _IMAGE),
            ("Pixel level", _PIXEL),
            ("Regions of defects", _REGION),
        ):
            yield from _accuracy(group, title, metrics)
        yield from _undefined(group)
        yield from _verdicts(group)
    if len(study.subjects) > 1:
        yield Plot(
            OVERVIEW,
            "Image AUROC of every category: measured (dots, with 95 % intervals where the run has them) and "
            "published by the official implementation (diamonds, where there is one).",
            "Dots: image AUROC by category",
        )


def _beside(group: Group) -> Iterator[Block]:
    if group.published is None:
        yield paragraph(
            "Nothing is published for these settings ({title}), so the tables stand alone.", title=group.title
        )
        return
    known = [s.label for s in group.subjects if (s.digest, "image_auroc") in group.compared]
    if not known:
        yield paragraph(
            "The {source} results hold none of these categories, so the tables stand alone.",
            source=group.published.source,
        )
        return
    yield paragraph(
        "Differences are from the {source} results [2], in percentage points. Published for: {known}.",
        source=group.published.source,
        known=listed(known, 15),
    )
    if group.deviations:
        yield Note(
            prose(
                "*Not the published configuration:* {deviations}. Differences are of the settings as well "
                "as of the implementation.",
                deviations="; ".join(group.deviations),
            )
        )


def _accuracy(group: Group, title: str, metrics: Sequence[str]) -> Iterator[Block]:
    shown = [name for name in metrics if any(name in subject.run.metrics for subject in group.subjects)]
    if not shown:
        return
    columns = [column for name in shown for column in _columns(group, name)]
    rows = [
        (subject.label, *(cell for name in shown for cell in _cells(group, subject, name)))
        for subject in group.subjects
    ]
    strong = []
    for label, of, official in _mean_rows(group, shown):
        strong.append(len(rows))
        rows.append((label, *(cell for name in shown for cell in _mean_cells(group, of, name, official))))
    if group.compared and any(name in group.paper for name in shown):
        paper = (cell for name in shown for cell in _paper_cells(group, name))
        rows.append((f"paper [1], mean of {_PAPER_CATEGORIES}", *paper))
    beyond = any(not d.holds for (_, metric), d in group.compared.items() if metric in shown)
    note = "; *: beyond the tolerance stated for parity" if beyond else ""
    yield Table(f"{title}, in percent{note}", ("category", *columns), tuple(rows), strong=tuple(strong))


def _columns(group: Group, name: str) -> list[str]:
    """Headings of a metric: itself, its interval and what was published, where any run has these."""
    found = [SHORT.get(name, METRICS[name])]
    if _has_interval(group, name):
        found.append("95 % interval")
    if _is_published(group, name):
        found += ["official", "diff."]
    return found


def _has_interval(group: Group, name: str) -> bool:
    return any(interval_of(subject.run, name) for subject in group.subjects)


def _is_published(group: Group, name: str) -> bool:
    return any(metric == name for _, metric in group.compared)


def _cells(group: Group, subject: Subject, name: str) -> list[str]:
    metric = subject.run.metrics.get(name)
    interval = [interval_text(metric)] if _has_interval(group, name) else []
    return [metric_text(metric), *interval, *_published(group, subject.digest, name)]


def _published(group: Group, key: str, name: str) -> list[str]:
    if not _is_published(group, name):
        return []
    difference = group.compared.get((key, name))
    if difference is None:
        return [NOT_MEASURED, NOT_MEASURED]
    return [f"{difference.published:.2f}", points(difference.points) + ("" if difference.holds else " *")]


def _mean_rows(group: Group, shown: Sequence[str]) -> Iterator[tuple[str, list[Run], bool]]:
    """Label, runs, and whether what was published is of the same: all, and those that were published."""
    runs = [subject.run for subject in group.subjects]
    known = [s.run for s in group.subjects if (s.digest, "image_auroc") in group.compared]
    if len(runs) > 1:
        yield "mean", runs, len(known) == len(runs)
    if 0 < len(known) < len(runs) and any((MEAN, name) in group.compared for name in shown):
        yield f"mean of the {len(known)} published", known, True


def _mean_cells(group: Group, runs: list[Run], name: str, official: bool) -> list[str]:
    interval = [""] if _has_interval(group, name) else []
    published = _published(group, MEAN, name)
    return [
        percent(means(runs, [name])[name]),
        *interval,
        *(published if official else [""] * len(published)),
    ]


def _paper_cells(group: Group, name: str) -> list[str]:
    stated = f"{group.paper[name]:.1f}" if name in group.paper else ""
    return [stated, *[""] * (len(_columns(group, name)) - 1)]


def _undefined(group: Group) -> Iterator[Block]:
    runs = [(subject.label, subject.run) for subject in group.subjects]
    for reason, labels in reasons(runs, METRICS).items():
        yield paragraph(
            "_n. d._, not defined, for {labels}: {reason}.",
            labels=listed(labels, 15),
            reason=reason.rstrip("."),
        )
    missing = [
        METRICS[name]
        for name in (*_IMAGE, *_PIXEL, *_REGION)
        if not any(name in run.metrics for _, run in runs)
    ]
    if missing:
        yield paragraph("Not measured in these runs: {missing}.", missing=listed(missing, 15))


def _verdicts(group: Group) -> Iterator[Block]:
    """What the threshold makes of the test images."""
    rows = [_verdict_row(s, limit) for s in group.subjects if (limit := s.run.threshold)]
    if not rows:
        yield paragraph("These scores only rank images: without a threshold there are no verdicts.")
        return
    yield Table(
        "At the threshold: good images rejected and defects missed; rates and 95 % intervals in percent",
        (
            "category",
            "threshold",
            "promised",
            "rejected",
            "%",
            "95 % interval",
            "missed",
            "%",
            "95 % interval",
        ),
        tuple(rows),
    )


def _verdict_row(subject: Subject, limit: ThresholdFacts) -> tuple[str, ...]:
    run = subject.run
    cells = [subject.label, score_text(limit.score), percent(limit.false_reject_rate)]
    for defect, metric, verdict in ((False, "false_reject_rate", "NG"), (True, "miss_rate", "OK")):
        rows = [row for row in run.images if row.defect == defect]
        wrong = sum(row.verdict == verdict for row in rows)
        rate = run.metrics.get(metric)
        cells += [f"{wrong} of {len(rows)}", metric_text(rate), interval_text(rate)]
    return tuple(cells)


def overview_rows(study: Study) -> list[tuple[str, Subject, float | None]]:
    """What the overview draws: label, run and what was published."""
    rows = []
    for group in study.groups:
        for subject in group.subjects:
            difference = group.compared.get((subject.digest, "image_auroc"))
            label = subject.label if len(study.groups) == 1 else f"{subject.label}: {group.title}"
            rows.append((label, subject, difference.published if difference else None))
    return rows


def counts_in_words(study: Study) -> str:
    """How many runs and test images."""
    images = sum(len(subject.run.images) for subject in study.subjects)
    return f"{counted(len(study.subjects), 'run')} with {counted(images, 'test image')}"
