import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.errors import OptionError
from pcedge.thresholds.conformal import (
    PValues,
    Rates,
    check_rate,
    images_needed,
    outliers,
    review_at,
    smallest_rate,
    threshold_at,
    weights_of,
)
from pcedge.thresholds.coverage_guarantee import Guarantee


@pytest.mark.parametrize(
    ("n", "rate", "rank"),
    [
        (4, 0.2, 4),
        (9, 0.1, 9),
        (19, 0.05, 19),
        (19, 0.1, 18),
        (19, 0.5, 10),
        (9, 0.7, 3),  # 10 * (1 - 0.7) is a little more than 3
        (20, 0.1, 19),
        (99, 0.01, 99),
        (99, 0.02, 98),
        (99, 0.07, 93),
        (100, 0.01, 100),
        (999, 0.001, 999),
        (999, 0.3, 700),
        (209, 0.01, 208),
        (1, 0.5, 1),
    ],
)
def test_the_threshold_is_the_score_of_a_stated_rank(n: int, rate: float, rank: int) -> None:
    scores = np.random.default_rng(0).permutation(np.arange(1, n + 1)).astype(np.float32)

    assert threshold_at(scores, rate) == rank


def test_no_rank_lies_beyond_the_largest_score() -> None:
    assert threshold_at(np.array([3, 1, 2], np.float32), 0.01) == 3


def test_the_smallest_rate_takes_the_largest_score_and_just_these_images() -> None:
    for n in range(1, 3000):
        rate = smallest_rate(n)

        assert images_needed(rate) == n
        assert check_rate(rate, n) == rate
        assert threshold_at(np.arange(n).astype(np.float32), rate) == n - 1


@pytest.mark.parametrize(
    ("rate", "images"), [(0.5, 1), (0.2, 4), (0.1, 9), (0.05, 19), (0.01, 99), (0.001, 999)]
)
def test_a_rate_needs_so_many_images_and_not_one_less(rate: float, images: int) -> None:
    assert images_needed(rate) == images
    assert check_rate(rate, images) == rate
    with pytest.raises(OptionError, match=rf"takes at least {images}\."):
        check_rate(rate, images - 1)


def test_the_rate_that_an_error_suggests_is_accepted() -> None:
    for images in range(4, 1500):
        with pytest.raises(OptionError) as caught:
            check_rate(smallest_rate(images) * 0.99, images)

        suggested = float(caught.value.hint.split()[-1].rstrip("."))
        assert check_rate(suggested, images) == suggested
        assert suggested < smallest_rate(images) + 0.0011


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, 1.5, float("nan"), float("inf")])
def test_a_rate_that_is_no_share_is_an_error(rate: float) -> None:
    with pytest.raises(OptionError, match="makes no sense"):
        check_rate(rate, 1_000_000)


@pytest.mark.parametrize(("n", "rate"), [(20, 0.1), (30, 0.05), (9, 0.1), (50, 0.25)])
def test_new_good_images_exceed_it_no_more_often_than_stated(n: int, rate: float) -> None:
    rng = np.random.default_rng(n)
    draws = 20_000
    scores = rng.lognormal(0, 2, (draws, n + 1)).astype(np.float32)

    rejected = np.mean([row[-1] > threshold_at(row[:-1], rate) for row in scores])

    three_sigma = 3 * np.sqrt(rate * (1 - rate) / draws)
    assert rejected <= rate + three_sigma
    # Nor is it uselessly high: the exact share is above rate - 1 / (n + 1).
    assert rejected >= rate - 1 / (n + 1) - three_sigma


def test_outliers_are_named_the_worst_first() -> None:
    scores = np.array([1, 1.2, 9, 0.9, 1.1, 30, 1.05, 0.95, 1, 1.15, 0.9], np.float32)

    assert outliers(scores).tolist() == [5, 2]
    assert outliers(np.linspace(1, 2, 50).astype(np.float32)).tolist() == []
    assert outliers(np.ones(8, np.float32)).tolist() == []


@pytest.mark.parametrize(
    ("images", "rate", "review_rate", "rank"),
    [(99, 0.01, 0.05, 95), (24, 0.04, 0.08, 23), (199, 0.05, 0.1, 180)],
)
def test_review_begins_where_more_of_the_good_parts_do(
    images: int, rate: float, review_rate: float, rank: int
) -> None:
    scores = np.arange(1, images + 1, dtype=np.float32)

    threshold, found = review_at(scores, rate)

    assert threshold == rank
    assert found == pytest.approx(review_rate)


def test_where_two_thresholds_cannot_be_told_apart_there_is_no_review() -> None:
    assert review_at(np.ones(50, np.float32), 0.02) == (None, None)
    assert review_at(np.arange(4, dtype=np.float32), 0.6) == (None, None)


def _grouped(rng: np.random.Generator, groups: int, spread: float) -> tuple[NDArray[np.float32], list[str]]:
    """Scores of images in groups of one to six, alike within their group."""
    sizes = rng.integers(1, 7, groups)
    level = rng.normal(size=groups) * spread
    scores = np.repeat(level, sizes) + rng.normal(size=sizes.sum()) * 0.3
    return scores.astype(np.float32), [str(group) for group in np.repeat(np.arange(groups), sizes)]


def test_a_part_of_a_new_group_exceeds_it_no_more_often_than_stated() -> None:
    rng = np.random.default_rng(4)
    draws, groups, rate = 3000, 9, 0.2
    by_group = by_image = 0
    for _ in range(draws):
        scores, names = _grouped(rng, groups + 1, spread=2.0)
        held = np.array([name != str(groups) for name in names])
        new = scores[~held][0]
        kept = [name for name, of_old in zip(names, held, strict=True) if of_old]
        by_group += new > threshold_at(scores[held], rate, weights_of(kept))
        by_image += new > threshold_at(scores[held], rate)

    three_sigma = 3 * np.sqrt(rate * (1 - rate) / draws)
    assert by_group / draws <= rate + three_sigma
    assert by_group / draws >= rate - 1 / (groups + 1) - three_sigma
    assert by_image > by_group  # counting images as if each stood alone sets it lower


def test_weights_of_one_are_no_weights() -> None:
    scores = np.random.default_rng(0).normal(size=37).astype(np.float32)
    weights = weights_of([str(number) for number in range(37)])

    for rate in (0.03, 0.05, 0.1, 0.5, 0.9):
        assert threshold_at(scores, rate, weights) == threshold_at(scores, rate)


@pytest.mark.parametrize("grouped", [False, True])
def test_a_score_is_above_the_threshold_of_a_rate_just_where_its_p_value_is_that_rate_or_less(
    grouped: bool,
) -> None:
    rng = np.random.default_rng(1)
    scores, names = _grouped(rng, 12, 1.0)
    scores = np.round(scores, 1)  # with ties
    weights = weights_of(names) if grouped else None
    p_values, units = PValues(scores, weights), len(set(names)) if grouped else len(scores)

    for rate in (smallest_rate(units), 0.1, 0.2, 1 / 3, 0.5):
        limit = threshold_at(scores, rate, weights)
        for score in np.unique(np.concatenate([scores, scores + 0.05, scores - 0.05])):
            assert (score > limit) == (p_values.of(float(score)) <= rate + 1e-9), (rate, score)


def test_p_values_count_the_images_that_scored_as_much_or_more() -> None:
    p_values = PValues([3, 1, 2, 2])

    found = [p_values.of(score) for score in (0, 1, 1.5, 2, 2.5, 3, 3.1)]

    assert found == pytest.approx([1, 1, 0.8, 0.8, 0.4, 0.4, 0.2])


def test_p_values_of_new_good_images_are_small_no_more_often_than_they_say() -> None:
    rng = np.random.default_rng(2)
    found = np.array([PValues(row[:-1]).of(row[-1]) for row in rng.normal(size=(3000, 20))])

    for level in (0.05, 0.1, 0.3, 0.7):
        assert (found <= level).mean() <= level + 3 * np.sqrt(level * (1 - level) / 3000)


@pytest.mark.parametrize(
    ("units", "folds", "rate", "proven"),
    [
        (199, 1, 0.01, 0.01),
        (200, 5, 0.01, 2 * 0.01 + 2 * 0.99 * 4 / 205),
        (95, 5, 0.05, 2 * 0.05 + 2 * 0.95 * 4 / 100),
        (5, 5, 0.2, 1.0),
    ],
)
def test_what_is_proven_of_folds_is_less(units: int, folds: int, rate: float, proven: float) -> None:
    assert Guarantee(units, False, folds).proven_rate(rate) == pytest.approx(proven)


def test_folds_reject_no_more_often_than_is_proven_however_unlike_their_banks_are() -> None:
    rng = np.random.default_rng(3)
    folds, each, rate, draws = 4, 6, 0.1, 3000
    rejected = 0
    for _ in range(draws):
        old, new = rng.normal(size=(folds, each)), rng.normal()
        tilt = rng.normal(size=folds) * 2  # banks that turned out differently, each of its own opinion
        scores = np.abs(old - tilt[:, None])
        above = sum(int((scores[k] >= abs(new - tilt[k])).sum()) for k in range(folds))
        rejected += (1 + above) / (folds * each + 1) <= rate

    assert rejected / draws <= Guarantee(folds * each, False, folds).proven_rate(rate)


def test_what_is_guaranteed_is_said_with_its_conditions() -> None:
    split, folds = Guarantee(199, False, 1).in_words(0.01), Guarantee(200, False, 5).in_words(0.01)
    whole, groups = Guarantee(200, False, 5, True).in_words(0.01), Guarantee(30, True, 1).in_words(0.1)

    assert split.startswith("proven: at most 1.00% of new good parts are NG")
    assert "5.86%" in folds
    assert "bank scores no part higher" in folds
    assert "bank scores no part higher" not in whole
    assert "of a new group" in groups
    assert "the 30 groups held out" in groups


@pytest.mark.parametrize(
    ("rates", "units", "what"),
    [
        (Rates(0.01), 98, "false-reject rate of 0.01: that takes at least 99"),
        (Rates(None, 0.01), 98, "review rate of 0.01: that takes at least 99"),
        (Rates(0.05, 0.05), 200, "leaves nothing to review"),
        (Rates(None, 0.025), 39, "leaves nothing to review"),
        (Rates(None, 1.5), 40, "review rate of 1.5 makes no sense"),
    ],
)
def test_rates_that_cannot_be_had_are_errors(rates: Rates, units: int, what: str) -> None:
    with pytest.raises(OptionError, match=what):
        rates.check(units)


def test_rates_that_can_be_had_are_none() -> None:
    Rates().check(1)
    Rates(0.01, 0.05).check(99)
    Rates(None, 0.05).check(99)
    assert Rates().of_false_rejects(49) == 1 / 50
    assert Rates(0.1).of_false_rejects(49) == 0.1


def test_a_review_rate_that_was_asked_for_is_used() -> None:
    scores = np.arange(1, 100, dtype=np.float32)

    assert review_at(scores, 0.01, 0.2) == (80.0, 0.2)
