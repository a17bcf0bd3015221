"""Rules for points about all runs together."""

from collections.abc import Callable, Iterator

from .document import prose
from .finding import Finding
from .study import Study, Subject, interval_of
from .wording import counted, listed, points, scientific


def _data(study: Study) -> Iterator[Finding]:
    with_problems = [subject for subject in study.subjects if subject.run.data.problems]
    if with_problems:
        count = sum(len(subject.run.data.problems) for subject in with_problems)
        yield Finding(
            "",
            prose(
                "The checks of the data found {count} ({labels}). Leaks make results look better than they "
                "are, and wrong masks make pixel metrics meaningless: settle these before the numbers are "
                "relied on.",
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
            text = "{title}: no difference from the {source} results is beyond its tolerance ({names}){but}."
            names = listed(dict.fromkeys(name for name, _ in stated if name != "mean"))
            but = f", though the settings differ: {'; '.join(group.deviations)}" if group.deviations else ""
            source = group.published.source
            yield Finding("", prose(text, title=group.title, source=source, names=names, but=but), rule, 8)
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
                "{title}: {count} from the {source} results beyond tolerance, most of all {category}, "
                "{metric}: {points} points. " + reason,
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
        yield from _intervals(
            group.subjects, {key[0]: d.published for key, d in stated.items() if key[1] == "image_auroc"}
        )


def _intervals(subjects: tuple[Subject, ...], published: dict[str, float]) -> Iterator[Finding]:
    rule = "a category has an interval and a published image AUROC"
    inside: list[str] = []
    outside: list[str] = []
    for subject in subjects:
        interval, official = interval_of(subject.run, "image_auroc"), published.get(subject.run.name)
        if interval is None or official is None:
            continue
        low, high = interval
        (inside if 100 * low - 1e-9 <= official <= 100 * high + 1e-9 else outside).append(subject.label)
    if inside:
        text = (
            "The 95 % interval of image AUROC includes the published value for {labels}: with so many test "
            "images, no difference can be told."
        )
        yield Finding("", prose(text, labels=listed(inside)), rule, 6)
    if outside:
        text = (
            "The 95 % interval of image AUROC excludes the published value for {labels}: chance in the "
            "choice of test images does not explain the difference."
        )
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
        text = (
            "Runtimes disagree: {flips} with another runtime ({where}), at score differences of up to "
            "{worst}."
        )
        flipped = counted(flips, "verdict changes", "verdicts change")
        yield Finding(
            "", prose(text, flips=flipped, where=where, worst=scientific(worst)), "runtimes were compared", 9
        )
    else:
        text = (
            "The runtimes agree: no verdict changes, and no score differs by more than {worst} of its size."
        )
        yield Finding("", prose(text, worst=scientific(worst)), "runtimes were compared", 4)


STUDY_RULES: tuple[Callable[[Study], Iterator[Finding]], ...] = (_data, _parity, _runtimes)
