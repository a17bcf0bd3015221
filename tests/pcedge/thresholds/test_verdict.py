"""The one rule of verdict, and that what uses it never passes a score that is not a number."""

from pathlib import Path

import numpy as np
import pytest

from pcedge.adaptation.teaching import regression_check
from pcedge.adaptation.teaching.consensus import StrangePatches, opinions
from pcedge.camera import Verdict
from pcedge.datasets import Sample
from pcedge.deployment.triton import client
from pcedge.errors import LessonRefusedError, OptionError
from pcedge.evaluation.inference import Judged
from pcedge.studies.suite.run_images import choose
from pcedge.thresholds.verdict import Thresholds

NAN, INF = float("nan"), float("inf")
# The next number of float64 above 2; as float32 it is 2.
JUST_ABOVE = float(np.nextafter(2.0, 3.0))
SCORES = [-1.0, 0.0, 1.0, 1.5, 2.0, JUST_ABOVE, 1e300, NAN, INF, -INF]
NG_ABOVE_2 = ["OK"] * 5 + ["NG"] * 2 + ["INVALID"] * 3


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Thresholds(2.0), NG_ABOVE_2),
        (Thresholds(2.0, review=1.0), ["OK"] * 3 + ["REVIEW"] * 2 + ["NG"] * 2 + ["INVALID"] * 3),
        (Thresholds(2.0, review=5.0), NG_ABOVE_2),
    ],
)
def test_a_score_has_one_verdict_alone_and_among_others(rule: Thresholds, expected: list[str]) -> None:
    assert [rule.verdict(score).value for score in SCORES] == expected
    assert [one.value for one in rule.verdicts(np.array(SCORES))] == expected
    for verdict in Verdict:
        assert rule.are(verdict, SCORES).tolist() == [one == verdict.value for one in expected]
        assert rule.count(verdict, SCORES) == expected.count(verdict.value)
        assert rule.share(verdict, SCORES) == expected.count(verdict.value) / len(SCORES)


def test_a_threshold_is_not_rounded_to_the_scores_type() -> None:
    next_up = np.nextafter(np.float32(2), np.float32(3))
    rule = Thresholds(float(next_up) - 1e-9)

    assert rule.are(Verdict.NG, np.full(2, next_up, np.float32)).tolist() == [True, True]


def test_a_verdict_flips_to_and_from_invalid_too() -> None:
    flips = Thresholds(2.0).flips([1, 1, 3, NAN, NAN, 2], [2, 3, 3, NAN, 1, NAN])

    assert flips.tolist() == [False, True, False, False, True, True]


def test_no_scores_have_no_verdicts() -> None:
    assert Thresholds(2.0).verdicts([]) == []
    assert Thresholds(2.0).count(Verdict.OK, []) == 0


@pytest.mark.parametrize("thresholds", [(NAN, None), (INF, None), (2.0, NAN), (2.0, -INF)])
def test_a_threshold_that_is_no_number_is_refused(thresholds: tuple[float, float | None]) -> None:
    with pytest.raises(OptionError, match="would pass every part"):
        Thresholds(*thresholds)


@pytest.mark.parametrize("score", [*SCORES, 2, np.float32(2)])
def test_the_client_of_triton_applies_the_same_rule(score: float) -> None:
    assert client.verdict(score, 2.0) == Thresholds(2.0).verdict(score).value


@pytest.mark.parametrize(
    ("kind", "old", "new", "problem"),
    [
        ("defect", Verdict.NG, Verdict.INVALID, "could not be judged"),
        ("good", Verdict.OK, Verdict.INVALID, "could not be judged"),
        ("defect", Verdict.INVALID, Verdict.OK, "would blind the inspector"),
        ("defect", Verdict.INVALID, Verdict.INVALID, ""),
        ("good", Verdict.INVALID, Verdict.OK, ""),
    ],
)
def test_a_lesson_that_makes_a_score_no_number_is_refused(
    kind: str, old: Verdict, new: Verdict, problem: str
) -> None:
    shown = regression_check._Shown("one", kind, np.zeros((1, 1), np.float32))

    if problem:
        with pytest.raises(LessonRefusedError, match=problem):
            regression_check._check(shown, old, new)
    else:
        regression_check._check(shown, old, new)


def test_an_image_whose_score_is_no_number_is_not_taught() -> None:
    patches = np.full((4, 2), NAN, np.float32)
    strange = StrangePatches(patches, np.full(4, NAN, np.float32), NAN)

    (opinion, *_) = opinions([strange] * 3, [], 1.0)

    assert (opinion.outcome, opinion.reason) == ("refused", "its score is not a finite number")


def _judged(name: str, score: float, kind: str) -> Judged:
    return Judged(Sample(Path(name), kind), name, score, 0.1, np.zeros((2, 2), np.float32), None, "")


def test_a_run_shows_no_invalid_image_as_passed_or_rejected_and_ranks_the_others() -> None:
    images = [
        *(_judged(f"good{n}", score, "good") for n, score in enumerate([1.0, NAN, 3.0, 0.5])),
        *(_judged(f"bad{n}", score, "scratch") for n, score in enumerate([4.0, NAN, 1.5, 0.1])),
    ]

    chosen = [(group, image.name) for group, image in choose(images, 2.0)]

    assert chosen == [
        ("miss", "bad3"),
        ("miss", "bad2"),
        ("false_reject", "good2"),
        ("found", "bad0"),
        ("accepted", "good3"),
        ("accepted", "good0"),
    ]
