"""Points for the discussion: each follows from the numbers of the runs by a fixed, stated rule."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from pcedge.results import Metric, Run

from .document import Prose, prose
from .study import Study, Subject
from .wording import counted, listed, percent, points, score_text

_FEW_GOOD = 20
_CHANCE, _GOOD_RANKING, _GOOD_MAP, _MANY_MISSED = 0.5, 0.95, 0.8, 0.2


@dataclass(frozen=True)
class Finding:
    """A point and the rule it follows from.

    Attributes:
        subject: The run it is about; empty for all.
        spans: The point.
        rule: When it is made.
        weight: Larger ones come first, and into the summary.
    """

    subject: str
    spans: Prose
    rule: str
    weight: int


def findings(study: Study) -> list[Finding]:
    """All points, the weightiest first."""
    found = [*_data(study), *_parity(study), *_runtimes(study)]
    for subject in study.subjects:
        for rule in _RULES:
            found += rule(subject)
    return sorted(found, key=lambda finding: -finding.weight)


def _data(study: Study) -> Iterator[Finding]:
    with_problems = [subject for subject in study.subjects if subject.run.data.problems]
    if with_problems:
        count = sum(len(subject.run.data.problems) for subject in with_problems)
        yield Finding(
            "",
            prose(
                "The checks of the data found {count} ({labels}). Leaks make results look better than they are, and "
                "wrong masks make pixel metrics meaningless: settle these before the numbers are relied on.",
                count=counted(count, "problem"),
                labels=listed(subject.label for subject in with_problems),
            ),
            "the checks found anything",
            9,
        )
    lost = [subject for subject in study.subjects if subject.run.skipped]
    if lost:
        yield Finding(
            "",
            prose(
                "{count} could not be used ({labels}); the metrics are of the others.",
                count=counted(sum(len(subject.run.skipped) for subject in lost), "image"),
                labels=listed(subject.label for subject in lost),
            ),
            "an image was skipped",
            5,
        )


def _parity(study: Study) -> Iterator[Finding]:
    for group in study.groups:
        stated = {key: value for key, value in group.compared.items() if value.tolerance is not None}
        wrong = [difference for difference in stated.values() if not difference.holds]
        if not stated or group.published is None:
            continue
        rule = "published results exist for the preset; tolerances as for evaluate --parity official"
        if not wrong:
            text = "{title}: every difference from the {source} results is within its tolerance, in the mean and category by category."
            yield Finding("", prose(text, title=group.title, source=group.published.source), rule, 8)
            continue
        worst = max(wrong, key=lambda difference: abs(difference.points))
        reason = (
            "The settings differ from the published ones ({deviations}), which may be all of it."
            if group.deviations
            else "The settings are the published ones: this needs an explanation by experiment."
        )
        yield Finding(
            "",
            prose(
                "{title}: {count} from the {source} results beyond tolerance, most of all {category}, {metric}: {points} "
                "points. " + reason,
                title=group.title,
                count=counted(len(wrong), "difference lies", "differences lie"),
                source=group.published.source,
                category=worst.category,
                metric=worst.metric.replace("_", " "),
                points=points(worst.points),
                deviations="; ".join(group.deviations),
            ),
            rule,
            8,
        )
        yield from _intervals(group.subjects, {key[0]: d.published for key, d in stated.items() if key[1] == "image_auroc"})


def _intervals(subjects: tuple[Subject, ...], published: dict[str, float]) -> Iterator[Finding]:
    rule = "a category has an interval and a published image AUROC"
    inside, outside = [], []
    for subject in subjects:
        interval, official = _interval(subject.run, "image_auroc"), published.get(subject.run.name)
        if interval is None or official is None:
            continue
        low, high = interval
        (inside if 100 * low - 1e-9 <= official <= 100 * high + 1e-9 else outside).append(subject.label)
    if inside:
        text = "The 95 % interval of image AUROC includes the published value for {labels}: with so many test images, no difference can be told."
        yield Finding("", prose(text, labels=listed(inside)), rule, 6)
    if outside:
        text = "The 95 % interval of image AUROC excludes the published value for {labels}: chance in the choice of test images does not explain the difference."
        yield Finding("", prose(text, labels=listed(outside)), rule, 8)


def _runtimes(study: Study) -> Iterator[Finding]:
    compared = [
        (subject, result)
        for subject in study.subjects
        for result in subject.run.runtimes
        if result.largest_difference is not None
    ]
    if not compared:
        return
    flips = sum(result.flips for _, result in compared)
    worst = max(result.largest_difference or 0.0 for _, result in compared)
    if flips:
        where = listed(dict.fromkeys(subject.label for subject, result in compared if result.flips))
        text = "Runtimes disagree: {flips} with another runtime ({where}), at score differences of up to {worst}."
        flipped = counted(flips, "verdict changes", "verdicts change")
        yield Finding("", prose(text, flips=flipped, where=where, worst=f"{worst:.1e}"), "runtimes were compared", 9)
    else:
        text = "The runtimes agree: no verdict changes, and no score differs by more than {worst} of its size."
        yield Finding("", prose(text, worst=f"{worst:.1e}"), "runtimes were compared", 4)


def _misses_of_one_kind(subject: Subject) -> Iterator[Finding]:
    defects = [row for row in subject.run.images if row.defect]
    missed = Counter(row.kind for row in defects if row.verdict == "OK")
    total = Counter(row.kind for row in defects)
    if missed.total() < 3 or len(total) < 2:
        return
    rule = "at least 3 misses, half of them or more of one kind, whose share of the defects is at most half of that"
    for kind, count in missed.most_common(1):
        if count / missed.total() >= max(0.5, 2 * total[kind] / len(defects)):
            text = "Misses are concentrated in one kind: {count} of {missed} are _{kind}_, of which {share} % pass. Look at these pictures first: the resolution or the backbone may not show this kind."
            yield Finding(
                subject.label,
                prose(text, kind=kind, count=count, missed=missed.total(), share=percent(count / total[kind], 0)),
                rule,
                7,
            )
    whole = [kind for kind in total if total[kind] > 1 and missed[kind] == total[kind]]
    if whole:
        text = "Every image passes of the kinds {kinds}."
        yield Finding(subject.label, prose(text, kinds=listed(whole)), "a kind with two images or more is missed wholly", 7)


def _outlier_threshold(subject: Subject) -> Iterator[Finding]:
    limit = subject.run.threshold
    if limit is None or len(limit.held_out) < 8:
        return
    scores = np.sort(np.array(limit.held_out))
    spread = float(np.subtract(*np.percentile(scores[:-1], [75, 25])))
    gap = float(scores[-1] - scores[-2])
    if limit.score < scores[-1] or gap <= 2 * spread:
        return
    lower = float(scores[-2])
    between = [row for row in subject.run.images if lower < row.score <= limit.score]
    text = (
        "The threshold ({score}) is set by one outlier: the highest held-out score of a good training image lies "
        "{ratio} times the interquartile range of the others above the second ({lower}). At that second "
        "score, {found} more would be found, and {rejected} more rejected. Look at the image, and fit again if it is not good."
    )
    yield Finding(
        subject.label,
        prose(
            text,
            score=score_text(limit.score),
            ratio=f"{gap / spread:.1f}" if spread > 0 else "infinitely many",
            lower=score_text(lower),
            found=counted(sum(row.defect for row in between), "defect"),
            rejected=counted(sum(not row.defect for row in between), "good part"),
        ),
        "the highest of 8 or more held-out scores is at most the threshold, and more than twice the interquartile range above the second",
        8,
    )


def _false_rejects(subject: Subject) -> Iterator[Finding]:
    run, interval = subject.run, _interval(subject.run, "false_reject_rate")
    if run.threshold is None or interval is None:
        return
    promised, (low, high) = run.threshold.false_reject_rate, interval
    rate = run.value("false_reject_rate")
    rule = "the rate has an interval; it is beyond the promise where the whole interval is"
    values = {"rate": percent(rate), "promised": percent(promised), "low": f"{100 * low:.1f}", "high": f"{100 * high:.1f}"}
    if low > promised:
        text = "More good parts are rejected than promised: {rate} % (95 % interval {low} to {high}) where {promised} % was asked for. Good test images differ from those learned: add some of them to the fit."
        yield Finding(subject.label, prose(text, **values), rule, 9)
    elif high < promised:
        text = "Fewer good parts are rejected than promised: {rate} % (95 % interval {low} to {high}), {promised} % was asked for. A lower threshold would miss less."
        yield Finding(subject.label, prose(text, **values), rule, 6)
    else:
        text = "The false-reject rate, {rate} % (95 % interval {low} to {high}), agrees with the {promised} % promised."
        yield Finding(subject.label, prose(text, **values), rule, 2)


def _ranking_without_threshold(subject: Subject) -> Iterator[Finding]:
    auroc, missed = subject.run.value("image_auroc"), subject.run.value("miss_rate")
    if auroc is None or missed is None or auroc < _GOOD_RANKING or missed < _MANY_MISSED:
        return
    text = "Scores separate good from defective (image AUROC {auroc} %), yet {missed} % of the defects pass: the threshold is high, not the ranking poor. A larger false-reject rate buys fewer misses."
    yield Finding(
        subject.label,
        prose(text, auroc=percent(auroc), missed=percent(missed, 0)),
        "image AUROC of 95 % or more and 20 % or more missed",
        7,
    )


def _near_chance(subject: Subject) -> Iterator[Finding]:
    interval = _interval(subject.run, "image_auroc")
    if interval and interval[0] <= _CHANCE:
        text = "The interval of image AUROC ({low} to {high} %) includes 50 %: these test images do not show that scores tell defects from good parts."
        yield Finding(
            subject.label,
            prose(text, low=f"{100 * interval[0]:.1f}", high=f"{100 * interval[1]:.1f}"),
            "the interval of image AUROC reaches down to 50 %",
            9,
        )


def _right_image_wrong_place(subject: Subject) -> Iterator[Finding]:
    auroc, aupro = subject.run.value("image_auroc"), subject.run.value("aupro")
    if auroc is not None and aupro is not None and auroc >= _GOOD_RANKING and aupro < _GOOD_MAP:
        text = "Images are told apart (image AUROC {auroc} %) better than defects are located (AUPRO {aupro} %): trust the verdict more than the coloured area."
        yield Finding(
            subject.label,
            prose(text, auroc=percent(auroc), aupro=percent(aupro)),
            "image AUROC of 95 % or more, AUPRO below 80 %",
            5,
        )


def _few_good(subject: Subject) -> Iterator[Finding]:
    good = sum(not row.defect for row in subject.run.images)
    if 0 < good < _FEW_GOOD:
        text = "There are only {good}: each weighs {weight} percentage points in the false-reject rate."
        yield Finding(
            subject.label,
            prose(text, good=counted(good, "good test image"), weight=f"{100 / good:.1f}"),
            "fewer than 20 good test images",
            3,
        )


def _constant(subject: Subject) -> Iterator[Finding]:
    scores = {row.score for row in subject.run.images}
    if len(scores) == 1 and len(subject.run.images) > 1:
        text = "All {count} test images have the same score: the network or the pictures carry no information."
        yield Finding(subject.label, prose(text, count=len(subject.run.images)), "all scores are equal", 9)


_RULES: tuple[Callable[[Subject], Iterator[Finding]], ...] = (
    _constant,
    _near_chance,
    _false_rejects,
    _outlier_threshold,
    _misses_of_one_kind,
    _ranking_without_threshold,
    _right_image_wrong_place,
    _few_good,
)



def _interval(run: Run, name: str) -> tuple[float, float] | None:
    metric: Metric | None = run.metrics.get(name)
    return metric.interval if metric else None
