"""What was offered, image by image: may it be learned from, and why."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pcedge.bundles.bundle import Bundle
from pcedge.core.progress import Progress
from pcedge.thresholds.calibration_data import read_evidence

from .consensus import Opinion, StrangePatches, opinions
from .examples import example_picture, read_examples
from .lesson_log import Offered
from .taught_bundle import Images, LessonImage, Variant


def judge_offers(
    own: Variant, pictures: Sequence[LessonImage], *, force: bool, progress: Progress
) -> list[Offered]:
    """Say of every image whether it may be learned from, and why.

    Args:
        own: The bundle's own bank.
        images: What was offered.
        force: Whether refusals are overruled where they may be.
        progress: Called with images looked at, as the stage ``look``.
    """
    learned = _learned(own.bundle, pictures)
    usable = [one for one in pictures if not one.problem]
    seen = _look_at(Images(usable), own, progress)
    good = [
        look
        for one in read_examples(own.bundle)
        if one.kind == "good"
        for look in own.look(own.embed([example_picture(own.bundle, one)]))
    ]
    found = opinions(seen, good, own.limit)
    told = {
        picture.sha256: _offered(picture, one, _overruled(opinion, force), picture.sha256 in learned)
        for picture, one, opinion in zip(usable, seen, found, strict=True)
    }
    return [
        told[one.sha256]
        if not one.problem
        else Offered(name=one.name, sha256=one.sha256, outcome="refused", reason=one.problem)
        for one in pictures
    ]


def _look_at(images: Sequence[NDArray[np.uint8]], own: Variant, progress: Progress) -> list[StrangePatches]:
    seen: list[StrangePatches] = []
    for done, image in enumerate(images):
        progress("look", done, len(images))
        seen += own.look(own.embed([image]))
    progress("look", len(images), len(images))
    return seen


def _offered(picture: LessonImage, seen: StrangePatches, opinion: Opinion, learned: bool) -> Offered:
    if learned and opinion.outcome == "taught":
        opinion = Opinion("passes", "the bundle was fitted on this very image: nothing to learn")
    return Offered(
        name=picture.name,
        sha256=picture.sha256,
        outcome=opinion.outcome,
        reason=opinion.reason,
        score=seen.score,
        confirmed=opinion.confirmed,
    )


def _learned(bundle: Bundle, pictures: Sequence[LessonImage]) -> frozenset[str]:
    """Digests of the images that the bundle was fitted on."""
    evidence = read_evidence(bundle)
    if evidence is None:
        return frozenset()
    fitted_on = set(evidence.learned.values())
    return frozenset(one.sha256 for one in pictures if one.content_digest in fitted_on)


def _overruled(opinion: Opinion, force: bool) -> Opinion:
    if not force or opinion.outcome != "refused" or not opinion.may_be_forced:
        return opinion
    return Opinion("taught", f"forced, although {opinion.reason}", opinion.confirmed)
