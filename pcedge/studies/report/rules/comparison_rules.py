"""Rules for points about methods that were compared on the same images."""

from collections.abc import Iterator, Sequence
from itertools import product

from pcedge.bundles.manifest import PATCHCORE

from ..render.document import prose
from ..render.wording import listed, percent, points
from ..report_data import Study, Subject, rivals
from .paired import Gap, gap
from .point import DiscussionPoint, Rule

BEST = Rule(
    "The best method",
    "methods were compared; told apart are those whose paired bootstrap interval of the difference in image "
    "AUROC excludes 0",
    7,
)
ORDER = Rule("The literature's order holds", "no method is above one that the literature puts before it", 6)
DISORDER = Rule(
    "Not the literature's order",
    "a method is above one that the literature puts before it: PatchCore, then "
    "PaDiM and SPADE, then autoencoder and GAN",
    7,
)
CHEAPER = Rule("As good for less time", "a method that cannot be told from the best takes half its time", 5)
CHANCE = Rule(
    "No better than chance",
    "the 95 % interval of a method's image AUROC does not lie above 50 %: its score ranks by something else",
    6,
)
PLACES = Rule("Where the defects are", "another method than the best has the highest AUPRO", 5)
# The order in which the literature's results put them; those of a tier are not compared with each other.
_TIERS = ((PATCHCORE,), ("padim", "spade"), ("ae", "gan"))


def comparison_findings(study: Study) -> Iterator[DiscussionPoint]:
    """Everything that follows from methods on the same images."""
    for subjects in rivals(study):
        ranked = sorted(subjects, key=lambda subject: -(subject.run.value("image_auroc") or 0.0))
        if ranked[0].run.value("image_auroc") is None:
            continue
        gaps = {other.label: gap(ranked[0].run.images, other.run.images) for other in ranked[1:]}
        same = [ranked[0], *(other for other in ranked[1:] if not _differ(gaps[other.label]))]
        yield _best(ranked, same)
        yield _order(subjects)
        yield from _chance(ranked)
        yield from _cheaper(ranked[0], same)
        yield from _places(ranked)


def _differ(found: Gap | None) -> bool:
    return found is not None and found.is_certain


def _best(ranked: Sequence[Subject], same: Sequence[Subject]) -> DiscussionPoint:
    below = [subject for subject in ranked if subject not in same]
    text = "{data}: {best} has the highest image AUROC, {value} %.{same}{below}"
    names = listed(_name(subject) for subject in same[1:])
    lower = listed(_name(subject) for subject in below)
    return DiscussionPoint(
        BEST,
        prose(
            text,
            data=ranked[0].run.data.name,
            best=_name(ranked[0]),
            value=percent(ranked[0].run.value("image_auroc")),
            same=f" On these images it cannot be told from {names}." if same[1:] else "",
            below=f" Below it by more than chance: {lower}." if below else "",
        ),
    )


def _order(subjects: Sequence[Subject]) -> DiscussionPoint:
    """Whether each method is above those of later tiers; of each method its plainest run counts."""
    data = subjects[0].run.data.name
    plain: dict[str, Subject] = {}
    for subject in subjects:
        kept = plain.get(subject.run.settings.method)
        if kept is None or len(_name(subject)) < len(_name(kept)):
            plain[subject.run.settings.method] = subject
    tiers = [[plain[name] for name in tier if name in plain] for tier in _TIERS]
    wrong, told, pairs = [], 0, 0
    for number, tier in enumerate(tiers):
        later = [subject for other in tiers[number + 1 :] for subject in other]
        for first, second in product(tier, later):
            found = gap(first.run.images, second.run.images)
            pairs += found is not None
            told += _differ(found)
            if found is not None and found.value < 0:
                wrong.append(_above(second, first, found))
    if wrong:
        return DiscussionPoint(DISORDER, prose("{data}: {wrong}.", data=data, wrong=listed(wrong)))
    text = (
        "{data}: methods come in the literature's order in all {pairs} pairs, in {told} by more than chance."
    )
    return DiscussionPoint(ORDER, prose(text, data=data, pairs=str(pairs), told=str(told)))


def _chance(ranked: Sequence[Subject]) -> Iterator[DiscussionPoint]:
    if lost := [subject for subject in ranked if _guesses(subject)]:
        text = "{data}: no better than chance at telling defective images from good ones: {lost}."
        names = listed(_name(subject) for subject in lost)
        yield DiscussionPoint(CHANCE, prose(text, data=ranked[0].run.data.name, lost=names))


def _guesses(subject: Subject) -> bool:
    metric = subject.run.metrics.get("image_auroc")
    return metric is not None and metric.interval is not None and metric.interval[0] <= 0.5


def _above(higher: Subject, lower: Subject, found: Gap) -> str:
    chance = "more than chance" if found.is_certain else "no more than chance may bring"
    between = f"{points(-100 * found.high)} to {points(-100 * found.low)}"
    return f"{_name(higher)} is above {_name(lower)} by {points(-100 * found.value)} ({between}: {chance})"


def _cheaper(best: Subject, same: Sequence[Subject]) -> Iterator[DiscussionPoint]:
    timed = [(ms, subject) for subject in same if (ms := _frame_ms(subject)) is not None]
    needed = _frame_ms(best)
    if needed is None or not timed:
        return
    ms, fastest = min(timed, key=lambda pair: pair[0])
    if 2 * ms <= needed:
        text = "{data}: {fastest} cannot be told from {best} and takes {ms} ms a frame instead of {needed}."
        yield DiscussionPoint(
            CHEAPER,
            prose(
                text,
                data=best.run.data.name,
                fastest=_name(fastest),
                best=_name(best),
                ms=f"{ms:.0f}",
                needed=f"{needed:.0f}",
            ),
        )


def _places(ranked: Sequence[Subject]) -> Iterator[DiscussionPoint]:
    located = [(value, subject) for subject in ranked if (value := subject.run.value("aupro")) is not None]
    if not located:
        return
    value, best = max(located, key=lambda pair: pair[0])
    own = ranked[0].run.value("aupro")
    if best is not ranked[0] and own is not None:
        text = "{data}: {best} shows best where defects are (AUPRO {value} %), {first} has {own} %."
        yield DiscussionPoint(
            PLACES,
            prose(
                text,
                data=best.run.data.name,
                best=_name(best),
                value=percent(value),
                first=_name(ranked[0]),
                own=percent(own),
            ),
        )


def _frame_ms(subject: Subject) -> float | None:
    return next(result.frame_ms for result in subject.run.runtimes if not result.skipped)


def _name(subject: Subject) -> str:
    return subject.run.settings.label
