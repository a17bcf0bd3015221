import numpy as np
import pytest

from pcedge.errors import OptionError
from pcedge.threshold import check_rate, images_needed, outliers, review_at, smallest_rate, threshold_at


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
