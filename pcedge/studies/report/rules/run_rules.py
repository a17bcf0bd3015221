"""Rules for points about one run."""

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np

from pcedge.camera import Verdict
from pcedge.thresholds.verdict import Thresholds

from ..render.document import prose
from ..render.wording import counted, listed, percent, score_text
from ..report_data import Subject, interval_of
from .point import DiscussionPoint, Rule

_FEW_GOOD = 20
_CHANCE, _GOOD_RANKING, _GOOD_MAP, _MANY_MISSED = 0.5, 0.95, 0.8, 0.2
_FEWEST_HELD_OUT, _FAR_OUT = 8, 2.0

CONSTANT = Rule("Scores carry no information", "all scores are equal", 9)
NEAR_CHANCE = Rule("No better than chance?", "the interval of image AUROC reaches down to 50 %", 9)
MORE_REJECTED = Rule(
    "More false rejects than promised", "the rate's whole interval lies above the promised rate", 9
)
OUTLIER = Rule(
    "Threshold set by one outlier",
    "the highest of at least 8 held-out scores is no higher than the threshold, and lies further above the "
    "second than twice the interquartile range of the others",
    8,
)
ONE_KIND = Rule(
    "Misses concentrated in one kind",
    "of at least 3 misses, half or more are of one kind, and at least twice its share of the defects",
    7,
)
WHOLE_KIND = Rule("Kinds missed wholly", "every one of a kind's images, two or more, passes", 7)
HIGH_THRESHOLD = Rule(
    "A threshold too high for a good ranking", "image AUROC of 95 % or more, and 20 % or more missed", 7
)
FEWER_REJECTED = Rule(
    "Fewer false rejects than promised", "the rate's whole interval lies below the promised rate", 6
)
WRONG_PLACE = Rule("Right image, wrong place", "image AUROC of 95 % or more, and AUPRO below 80 %", 5)
FEW_GOOD = Rule("Few good test images", "fewer than 20", 3)
AS_PROMISED = Rule("False rejects as promised", "the rate's interval includes the promised rate", 2)


def _constant(subject: Subject) -> Iterator[DiscussionPoint]:
    images = subject.run.images
    if len(images) > 1 and len({row.score for row in images}) == 1:
        text = "All {count} test images have the same score: the network or the images carry no information."
        yield DiscussionPoint(CONSTANT, prose(text, count=len(images)), subject.label)


def _near_chance(subject: Subject) -> Iterator[DiscussionPoint]:
    interval = interval_of(subject.run, "image_auroc")
    if interval and interval[0] <= _CHANCE:
        text = (
            "The interval of image AUROC, {low} to {high} %, includes 50 %: these test images do not show "
            "that scores tell defects from good parts."
        )
        low, high = (f"{100 * end:.1f}" for end in interval)
        yield DiscussionPoint(NEAR_CHANCE, prose(text, low=low, high=high), subject.label)


def _false_rejects(subject: Subject) -> Iterator[DiscussionPoint]:
    run, interval = subject.run, interval_of(subject.run, "false_reject_rate")
    if run.threshold is None or interval is None:
        return
    promised, (low, high) = run.threshold.false_reject_rate, interval
    measured = prose(
        "{rate} % of the good test images are rejected (95 % interval {low} to {high}), {promised} % was "
        "promised.",
        rate=percent(run.value("false_reject_rate")),
        low=f"{100 * low:.1f}",
        high=f"{100 * high:.1f}",
        promised=percent(promised),
    )
    if low > promised:
        advice = " Good test images differ from those learned: add some of them to the fit."
        yield DiscussionPoint(MORE_REJECTED, (*measured, *prose(advice)), subject.label)
    elif high < promised:
        advice = " A lower threshold would miss less."
        yield DiscussionPoint(FEWER_REJECTED, (*measured, *prose(advice)), subject.label)
    else:
        yield DiscussionPoint(AS_PROMISED, measured, subject.label)


def _outlier(subject: Subject) -> Iterator[DiscussionPoint]:
    limit = subject.run.threshold
    if limit is None or len(limit.held_out) < _FEWEST_HELD_OUT:
        return
    scores = np.sort(np.array(limit.held_out))
    highest, second = float(scores[-1]), float(scores[-2])
    spread = float(np.subtract(*np.percentile(scores[:-1], [75, 25])))
    rule = Thresholds(limit.score)
    if rule.verdict(highest) is Verdict.NG or highest - second <= _FAR_OUT * spread:
        return
    lower = Thresholds(second)
    between = [row for row in subject.run.images if rule.verdict(row.score) is not lower.verdict(row.score)]
    text = (
        "The threshold is {score}; the highest held-out score of a good training image, {highest}, lies "
        "{times}above the second, {second}. With that as threshold, {found} more would be found and "
        "{rejected} more rejected. Look at that training image, and fit again if it is not good."
    )
    times = f"{(highest - second) / spread:.1f} times the interquartile range " if spread > 0 else ""
    spans = prose(
        text,
        score=score_text(limit.score),
        highest=score_text(highest),
        times=times,
        second=score_text(second),
        found=counted(sum(row.defect for row in between), "defect"),
        rejected=counted(sum(not row.defect for row in between), "good part"),
    )
    yield DiscussionPoint(OUTLIER, spans, subject.label)


def _kinds(subject: Subject) -> Iterator[DiscussionPoint]:
    defects = [row for row in subject.run.images if row.defect]
    total = Counter(row.kind for row in defects)
    missed = Counter(row.kind for row in defects if row.verdict == "OK")
    if len(total) < 2:
        return
    for kind, count in missed.most_common(1):
        if missed.total() >= 3 and count / missed.total() >= max(0.5, 2 * total[kind] / len(defects)):
            text = (
                "{count} of {missed} misses are of the kind {kind}, of which {share} % pass. Look at these "
                "pictures first: the resolution or the backbone may not show this kind."
            )
            share = percent(count / total[kind], 0)
            spans = prose(text, count=count, missed=missed.total(), kind=kind, share=share)
            yield DiscussionPoint(ONE_KIND, spans, subject.label)
    whole = [kind for kind in total if total[kind] > 1 and missed[kind] == total[kind]]
    if whole:
        yield DiscussionPoint(
            WHOLE_KIND,
            prose("Every image of these kinds passes: {kinds}.", kinds=listed(whole)),
            subject.label,
        )


def _high_threshold(subject: Subject) -> Iterator[DiscussionPoint]:
    auroc, missed = subject.run.value("image_auroc"), subject.run.value("miss_rate")
    if auroc is None or missed is None or auroc < _GOOD_RANKING or missed < _MANY_MISSED:
        return
    text = (
        "Scores separate good from defective (image AUROC {auroc} %), yet {missed} % of the defects pass. A "
        "larger false-reject rate buys fewer misses."
    )
    spans = prose(text, auroc=percent(auroc), missed=percent(missed, 0))
    yield DiscussionPoint(HIGH_THRESHOLD, spans, subject.label)


def _wrong_place(subject: Subject) -> Iterator[DiscussionPoint]:
    auroc, aupro = subject.run.value("image_auroc"), subject.run.value("aupro")
    if auroc is not None and aupro is not None and auroc >= _GOOD_RANKING and aupro < _GOOD_MAP:
        text = (
            "Images are told apart (image AUROC {auroc} %) better than defects are located (AUPRO {aupro} "
            "%): trust the verdict more than the coloured area."
        )
        yield DiscussionPoint(
            WRONG_PLACE, prose(text, auroc=percent(auroc), aupro=percent(aupro)), subject.label
        )


def _few_good(subject: Subject) -> Iterator[DiscussionPoint]:
    good = sum(not row.defect for row in subject.run.images)
    if 0 < good < _FEW_GOOD:
        text = "{good}: each weighs {weight} percentage points in the false-reject rate."
        spans = prose(text, good=counted(good, "good test image"), weight=f"{100 / good:.1f}")
        yield DiscussionPoint(FEW_GOOD, spans, subject.label)


RUN_RULES: tuple[Callable[[Subject], Iterator[DiscussionPoint]], ...] = (
    _constant,
    _near_chance,
    _false_rejects,
    _outlier,
    _kinds,
    _high_threshold,
    _wrong_place,
    _few_good,
)
