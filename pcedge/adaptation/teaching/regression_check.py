"""A lesson must not blind the inspector: golden frames and stored examples keep their verdicts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import Bank
from pcedge.bundles.bundle import Bundle
from pcedge.bundles.manifest import EXACT, Precision, ThresholdInfo
from pcedge.camera import Verdict
from pcedge.errors import LessonRefusedError
from pcedge.inspection.verification.golden import FAULT_SUFFIX, read_golden
from pcedge.thresholds.verdict import Thresholds

from .bank.bank_state import Changed
from .examples import example_picture, read_examples
from .taught_bundle import Variant

# From what passes to what must not pass.
_SEVERITY = (Verdict.OK, Verdict.REVIEW, Verdict.NG, Verdict.INVALID)


@dataclass(frozen=True, eq=False)
class _Shown:
    """An image whose verdict must not get worse; ``kind`` is defect for one that must stay found."""

    name: str
    kind: str
    embeddings: NDArray[np.float32]


def check_examples(
    bundle: Bundle,
    variants: Mapping[Precision, Variant],
    changed: Mapping[Precision, Changed],
    *,
    force: bool,
) -> None:
    """Compare the verdicts of golden frames and stored examples before and after, in every precision.

    Args:
        bundle: As it was.
        variants: Its banks as they were.
        changed: Its banks as they are to be.
        force: Let it happen all the same.

    Raises:
        LessonRefusedError: A defect would be found less, or a good image rejected more.
    """
    if force:
        return
    for precision, variant in variants.items():
        before, after = variant.bundle.manifest.threshold, changed[precision].manifest.threshold
        shown = list(_shown(bundle, variant))
        for one, old, new in zip(
            shown,
            _verdicts(variant, shown, variant.bank, before),
            _verdicts(variant, shown, changed[precision].bank, after),
            strict=True,
        ):
            _check(one, old, new)


def _check(one: _Shown, old: Verdict, new: Verdict) -> None:
    if new is Verdict.INVALID is not old:
        raise LessonRefusedError(
            f"After the lesson {one.name} could not be judged: its score would not be a finite number.",
            "Nothing was taught. Leave out images of the lesson; --force teaches all the same.",
        )
    softer = _SEVERITY.index(new) < _SEVERITY.index(old)
    harder = _SEVERITY.index(new) > _SEVERITY.index(old)
    if one.kind == "defect" and softer:
        raise LessonRefusedError(
            f"The lesson would blind the inspector: {one.name}, a defect that is {old.value} now, would be "
            f"{new.value}.",
            "Nothing was taught. Leave out the images that look like it; --force teaches all the same.",
        )
    if one.kind == "good" and harder:
        raise LessonRefusedError(
            f"After the lesson {one.name}, a good image that is {old.value} now, would be {new.value}.",
            "Nothing was taught. Offer it in the same lesson; --force teaches all the same.",
        )


def _shown(bundle: Bundle, variant: Variant) -> Iterator[_Shown]:
    for frame in read_golden(variant.bundle.searched_by(EXACT)):
        if frame.name.endswith(FAULT_SUFFIX):  # the others are training images
            yield _Shown(f"the golden frame {frame.name}", "defect", frame.embeddings)
    for example in read_examples(bundle):
        (embeddings,) = variant.embed([example_picture(bundle, example)])
        yield _Shown(f"the {example.kind} example {example.name}", example.kind, embeddings)


def _verdicts(
    variant: Variant, shown: Sequence[_Shown], bank: Bank, limits: ThresholdInfo
) -> Iterator[Verdict]:
    rule = Thresholds(limits.score, limits.review)
    for one in shown:
        (seen,) = variant.look(one.embeddings[np.newaxis], bank)
        yield rule.verdict(seen.score)
