"""A selection that goes on from rows chosen before."""

import numpy as np
import pytest

from pcedge.banks import continue_coreset, greedy_coreset

ROWS = np.random.default_rng(4).normal(size=(3000, 7)).astype(np.float32)


@pytest.mark.parametrize("first", [1, 5, 60])
def test_a_selection_continued_is_the_selection_made_at_once(first: int) -> None:
    whole = greedy_coreset(ROWS, 100)
    given = whole.picks[:first]
    rest = np.setdiff1d(np.arange(len(ROWS)), given)

    found = continue_coreset(ROWS[rest], ROWS[given], 0.0, 100 - first)

    np.testing.assert_array_equal(rest[found.picks], whole.picks[first:])
    assert found.radius == pytest.approx(whole.radius, rel=1e-4)


def test_it_ends_when_every_row_lies_within_the_radius() -> None:
    given = ROWS[:40]

    found = continue_coreset(ROWS[40:], given, 1.5, len(ROWS))

    chosen = np.concatenate([given, ROWS[40:][found.picks]])
    nearest = np.linalg.norm(ROWS[:, None] - chosen[None], axis=2).min(axis=1)
    assert 0 < len(found.picks) < len(ROWS)
    assert found.radius == pytest.approx(nearest.max(), rel=1e-4)
    assert nearest.max() <= 1.5
    # Each was beyond the radius of all before it when it was taken.
    for number in range(len(found.picks)):
        before = chosen[: 40 + number]
        assert np.linalg.norm(before - chosen[40 + number], axis=1).min() > 1.5 * (1 - 1e-6)


@pytest.mark.parametrize(("radius", "most"), [(100.0, 10), (0.1, 0)])
def test_nothing_is_taken_where_nothing_is_far_or_nothing_may_be(radius: float, most: int) -> None:
    found = continue_coreset(ROWS[10:], ROWS[:10], radius, most)

    nearest = np.linalg.norm(ROWS[10:, None] - ROWS[None, :10], axis=2).min(axis=1)
    assert len(found.picks) == 0
    assert found.radius == pytest.approx(nearest.max(), rel=1e-4)


def test_rows_far_from_the_origin_are_told_apart() -> None:
    given = np.full((1, 4), 1e3, np.float32)
    rows = given + np.array([[0, 0, 0, 0.01], [0, 0, 0, 0.5]], np.float32)

    assert continue_coreset(rows, given, 0.1, 5).picks.tolist() == [1]


def test_repeats_of_a_row_are_taken_once() -> None:
    rows = np.repeat(ROWS[100:103], 5, axis=0)

    assert len(continue_coreset(rows, ROWS[:50], 0.0, 100).picks) == 3
