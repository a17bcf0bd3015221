"""Rules for points about one run."""

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np

from .document import prose
from .finding import Finding
from .study import Subject, interval_of
from .wording import counted, listed, percent, score_text

_FEW_GOOD = 20
_CHANCE, _GOOD_RANKING, _GOOD_MAP, _MANY_MISSED = 0.5, 0.95, 0.8, 0.2


def _misses_of_one_kind(subject: Subject) -> Iterator[Finding]:
    defects = [row for row in subject.run.images if row.defect]
    missed = Counter(row.kind for row in defects if row.verdict == "OK")
    total = Counter(row.kind for row in defects)
    if missed.total() < 3 or len(total) < 2:
        return
    rule = (
        "at least 3 misses, half of them or more of one kind, whose share of the defects is at most half of "
        "that"
    )
    for kind, count in missed.most_common(1):
        if count / missed.total() >= max(0.5, 2 * total[kind] / len(defects)):
            text = (
                "Misses are concentrated in one kind: {count} of {missed} are _{kind}_, of which {share} % "
                "pass. Look at these pictures first: the resolution or the backbone may not show this kind."
            )
            yield Finding(
                subject.label,
                prose(
                    text, kind=kind, count=count, missed=missed.total(), share=percent(count / total[kind], 0)
                ),
                rule,
                7,
            )
    whole = [kind for kind in total if total[kind] > 1 and missed[kind] == total[kind]]
    if whole:
        text = "All images of these kinds pass: {kinds}."
        yield Finding(
            subject.label,
            prose(text, kinds=listed(whole)),
            "a kind with two images or more is missed wholly",
            7,
        )


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
        "The threshold ({score}) is set by one outlier: the highest held-out score of a good training image "
        "lies {ratio} times the interquartile range of the others above the second ({lower}). At that "
        "second score, {found} more would be found, and {rejected} more rejected. Look at the image, and "
        "fit again if it is not good."
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
        "the highest of 8 or more held-out scores is at most the threshold, and more than twice the "
        "interquartile range above the second",
        8,
    )


def _false_rejects(subject: Subject) -> Iterator[Finding]:
    run, interval = subject.run, interval_of(subject.run, "false_reject_rate")
    if run.threshold is None or interval is None:
        return
    promised, (low, high) = run.threshold.false_reject_rate, interval
    rate = run.value("false_reject_rate")
    rule = "the rate has an interval; it is beyond the promise where the whole interval is"
    values = {
        "rate": percent(rate),
        "promised": percent(promised),
        "low": f"{100 * low:.1f}",
        "high": f"{100 * high:.1f}",
    }
    if low > promised:
        text = (
            "More good parts are rejected than promised: {rate} % (95 % interval {low} to {high}) where "
            "{promised} % was asked for. Good test images differ from those learned: add some of them to "
            "the fit."
        )
        yield Finding(subject.label, prose(text, **values), rule, 9)
    elif high < promised:
        text = (
            "Fewer good parts are rejected than promised: {rate} % (95 % interval {low} to {high}), "
            "{promised} % was asked for. A lower threshold would miss less."
        )
        yield Finding(subject.label, prose(text, **values), rule, 6)
    else:
        text = (
            "The false-reject rate, {rate} % (95 % interval {low} to {high}), agrees with the {promised} % "
            "promised."
        )
        yield Finding(subject.label, prose(text, **values), rule, 2)


def _ranking_without_threshold(subject: Subject) -> Iterator[Finding]:
    auroc, missed = subject.run.value("image_auroc"), subject.run.value("miss_rate")
    if auroc is None or missed is None or auroc < _GOOD_RANKING or missed < _MANY_MISSED:
        return
    text = (
        "Scores separate good from defective (image AUROC {auroc} %), yet {missed} % of the defects pass: "
        "the threshold is high, not the ranking poor. A larger false-reject rate buys fewer misses."
    )
    yield Finding(
        subject.label,
        prose(text, auroc=percent(auroc), missed=percent(missed, 0)),
        "image AUROC of 95 % or more and 20 % or more missed",
        7,
    )


def _near_chance(subject: Subject) -> Iterator[Finding]:
    interval = interval_of(subject.run, "image_auroc")
    if interval and interval[0] <= _CHANCE:
        text = (
            "The interval of image AUROC ({low} to {high} %) includes 50 %: these test images do not show "
            "that scores tell defects from good parts."
        )
        yield Finding(
            subject.label,
            prose(text, low=f"{100 * interval[0]:.1f}", high=f"{100 * interval[1]:.1f}"),
            "the interval of image AUROC reaches down to 50 %",
            9,
        )


def _right_image_wrong_place(subject: Subject) -> Iterator[Finding]:
    auroc, aupro = subject.run.value("image_auroc"), subject.run.value("aupro")
    if auroc is not None and aupro is not None and auroc >= _GOOD_RANKING and aupro < _GOOD_MAP:
        text = (
            "Images are told apart (image AUROC {auroc} %) better than defects are located (AUPRO {aupro} "
            "%): trust the verdict more than the coloured area."
        )
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
        text = (
            "All {count} test images have the same score: the network or the pictures carry no information."
        )
        yield Finding(subject.label, prose(text, count=len(subject.run.images)), "all scores are equal", 9)


RUN_RULES: tuple[Callable[[Subject], Iterator[Finding]], ...] = (
    _misses_of_one_kind,
    _outlier_threshold,
    _false_rejects,
    _ranking_without_threshold,
    _near_chance,
    _right_image_wrong_place,
    _few_good,
    _constant,
)
