"""Which images may be learned from: what is strange must be seen in two other images."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.adaptation.teaching.bank.row_choice import choose_pruned
from pcedge.adaptation.teaching.bank.row_ranges import read_ranges, write_ranges
from pcedge.adaptation.teaching.consensus import StrangePatches, opinions

LIMIT = 4.0


def _picture(*strange: float, known: int = 20) -> StrangePatches:
    """Patches of two dims: known ones at the bank's only row, the origin; strange ones so far up from it."""
    embeddings = np.zeros((known + len(strange), 2), np.float32)
    embeddings[known:, 1] = strange
    distances = np.square(embeddings).sum(axis=1)
    return StrangePatches(embeddings, distances, float(distances.max()))


PASSES, NEW, NEW_TOO, ODD = _picture(1.9), _picture(9.0), _picture(9.5), _picture(-9.0)


@pytest.mark.parametrize(
    ("offered", "outcomes"),
    [
        ([PASSES], ["passes"]),
        ([NEW], ["refused"]),
        ([NEW, NEW], ["refused"] * 2),
        ([NEW, NEW_TOO, NEW], ["taught"] * 3),
        ([NEW, NEW_TOO, NEW, ODD], [*["taught"] * 3, "refused"]),
        ([NEW, NEW_TOO, ODD, ODD], ["refused"] * 4),
        ([_picture(9.0, -9.0), NEW, NEW], ["refused", "taught", "taught"]),
        ([_picture(9.0, -9.0), NEW, NEW, ODD, ODD], ["taught"] * 5),
        ([_picture(*[9.0] * 21)] * 3, ["refused"] * 3),
    ],
)
def test_two_others_confirm_what_is_new(offered: list[StrangePatches], outcomes: list[str]) -> None:
    assert [one.outcome for one in opinions(offered, [], LIMIT)] == outcomes


def test_stored_good_examples_confirm_too() -> None:
    assert [one.outcome for one in opinions([NEW], [NEW_TOO, NEW], LIMIT)] == ["taught"]


def test_of_another_product_there_is_nothing_to_insist_on() -> None:
    (other,), (defect,) = opinions([_picture(*[9.0] * 21)], [], LIMIT), opinions([NEW], [], LIMIT)

    assert "another product" in other.reason
    assert not other.may_be_forced
    assert "may be a defect" in defect.reason
    assert defect.may_be_forced


def test_a_reweighted_score_is_confirmed_in_its_own_unit() -> None:
    weighted = [
        StrangePatches(one.embeddings, one.squared_distances, one.score / 2) for one in (NEW, NEW_TOO, NEW)
    ]

    found = opinions(weighted, [], LIMIT)

    assert [one.outcome for one in found] == ["taught"] * 3
    assert found[1].confirmed == pytest.approx(0.25 / 2, abs=0.01)


@pytest.mark.parametrize("rows", [[], [(1, 0)], [(1, 0), (1, 1), (1, 2), (1, 5), (4, 3), (4, 7), (4, 8)]])
def test_ranges_come_back(rows: list[tuple[int, int]]) -> None:
    assert read_ranges(write_ranges(rows)) == rows


def test_ranges_are_short() -> None:
    assert write_ranges([(1, 0), (1, 1), (1, 2), (1, 5), (12, 3)]) == {"1": "0-2,5", "12": "3"}


def _counts(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


TAUGHT = [(1, 0), (1, 1), (2, 0), (2, 1)]


@pytest.mark.parametrize(
    ("counts", "last_used", "room", "stay"),
    [
        (None, None, 4, TAUGHT),
        (None, None, 2, [(2, 0), (2, 1)]),
        (_counts(9, 0, 1, 5), np.array([900.0, 0, 0, 0]), 2, [(1, 0), (2, 1)]),  # used lately; used more
        (_counts(9, 3, 1, 1), np.zeros(4), 3, [(1, 0), (2, 0), (2, 1)]),  # of the same age: used less
        (None, None, 0, []),
        (None, None, -3, []),
    ],
)
def test_rows_that_were_not_used_for_longest_make_room(
    counts: NDArray[np.int64] | None,
    last_used: NDArray[np.float64] | None,
    room: int,
    stay: list[tuple[int, int]],
) -> None:
    assert choose_pruned(TAUGHT, max(room, 0), [100, 100, 200, 200], counts, last_used) == stay
