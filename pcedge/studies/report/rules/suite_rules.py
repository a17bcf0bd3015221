"""Rules for points about all runs together."""

from collections.abc import Callable, Iterator

from pcedge.evaluation.runs import METRICS
from pcedge.studies.suite import Difference

from ..render.document import prose
from ..render.wording import counted, listed, points, scientific
from ..report_data import MEAN, Group, Study, interval_of
from .comparison_rules import comparison_findings
from .point import DiscussionPoint, Rule

FLIPS = Rule("Runtimes disagree", "a verdict changes with the runtime", 9)
DATA = Rule("Data to be settled first", "the checks found anything", 9)
NO_PARITY = Rule(
    "Differences from the official implementation",
    "a difference lies beyond its tolerance: that of evaluate --parity official",
    8,
)
PARITY = Rule(
    "Parity with the official implementation",
    "results are published for the preset, and no difference lies beyond its tolerance",
    8,
)
EXCLUDED = Rule(
    "More than chance in the choice of test images",
    "the interval of image AUROC excludes the published value",
    8,
)
INCLUDED = Rule("No difference can be told", "the interval of image AUROC includes the published value", 6)
SKIPPED = Rule("Images left out", "an image was skipped", 5)
AGREEMENT = Rule("Runtimes agree", "runtimes were compared, and no verdict changes", 4)


def _data(study: Study) -> Iterator[DiscussionPoint]:
    concerned = [subject for subject in study.subjects if subject.run.data.problems]
    if concerned:
        text = (
            "{count} in {labels}. Leaks make results look better than they are, wrong masks make pixel "
            "metrics meaningless: settle these before the numbers are relied on."
        )
        count = counted(sum(len(subject.run.data.problems) for subject in concerned), "finding")
        labels = listed(subject.label for subject in concerned)
        yield DiscussionPoint(DATA, prose(text, count=count, labels=labels))
    lost = [subject for subject in study.subjects if subject.run.skipped]
    if lost:
        text = "{count} in {labels} could not be used; the metrics are of the others."
        count = counted(sum(len(subject.run.skipped) for subject in lost), "image")
        yield DiscussionPoint(
            SKIPPED, prose(text, count=count, labels=listed(subject.label for subject in lost))
        )


def _parity(study: Study) -> Iterator[DiscussionPoint]:
    for group in study.groups:
        stated = [difference for difference in group.compared.values() if difference.tolerance is not None]
        wrong = [difference for difference in stated if not difference.holds]
        if wrong:
            yield _beyond(group, wrong)
        elif stated:
            text = "{title}: all differences lie within tolerance ({names}){but}."
            names = listed(dict.fromkeys(d.category for d in stated if d.category != MEAN), 15)
            but = f", though the settings differ: {'; '.join(group.deviations)}" if group.deviations else ""
            yield DiscussionPoint(PARITY, prose(text, title=group.title, names=names, but=but))


def _beyond(group: Group, wrong: list[Difference]) -> DiscussionPoint:
    worst = max(wrong, key=lambda difference: abs(difference.points))
    text = "{title}: {count} beyond tolerance, most of all {category}, {metric}: {points} points. {reason}"
    reason = (
        f"The settings differ ({'; '.join(group.deviations)}), which may be all of it."
        if group.deviations
        else "The settings are the published ones: this needs an experiment to explain it."
    )
    spans = prose(
        text,
        title=group.title,
        count=counted(len(wrong), "difference lies", "differences lie"),
        category=worst.category,
        metric=METRICS[worst.metric],
        points=points(worst.points),
        reason=reason,
    )
    return DiscussionPoint(NO_PARITY, spans)


def _intervals(study: Study) -> Iterator[DiscussionPoint]:
    included: list[str] = []
    excluded: list[str] = []
    for group in study.groups:
        for subject in group.subjects:
            interval = interval_of(subject.run, "image_auroc")
            difference = group.compared.get((subject.digest, "image_auroc"))
            if interval and difference:
                low, high = (round(100 * end, 6) for end in interval)
                (included if low <= difference.published <= high else excluded).append(subject.label)
    if included:
        text = "So many test images cannot tell the result from the published one: {labels}."
        yield DiscussionPoint(INCLUDED, prose(text, labels=listed(included, 15)))
    if excluded:
        text = "Which test images there are does not explain the difference: {labels}."
        yield DiscussionPoint(EXCLUDED, prose(text, labels=listed(excluded, 15)))


def _runtimes(study: Study) -> Iterator[DiscussionPoint]:
    compared = [
        (subject, result, result.largest_difference)
        for subject in study.subjects
        for result in subject.run.runtimes
        if result.largest_difference is not None
    ]
    if not compared:
        return
    worst = scientific(max(difference for *_, difference in compared))
    flips = sum(result.flips for _, result, _ in compared)
    if flips:
        text = "{flips} with another runtime ({labels}); scores differ by up to {worst} of their size."
        labels = listed(dict.fromkeys(subject.label for subject, result, _ in compared if result.flips))
        changed = counted(flips, "verdict changes", "verdicts change")
        yield DiscussionPoint(FLIPS, prose(text, flips=changed, labels=labels, worst=worst))
    else:
        text = "No verdict changes with the runtime, and no score differs by more than {worst} of its size."
        yield DiscussionPoint(AGREEMENT, prose(text, worst=worst))


STUDY_RULES: tuple[Callable[[Study], Iterator[DiscussionPoint]], ...] = (
    _data,
    _parity,
    _intervals,
    _runtimes,
    comparison_findings,
)
