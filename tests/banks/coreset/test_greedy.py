from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.banks import CoresetSize, greedy_coreset, project
from pcedge.errors import OptionError

Rows = NDArray[np.float32]
MakeRows = Callable[[int, int], Rows]

SENSELESS = "0 00 0.0 -1 1.5 1e3 5000.0 abc ² % 0% 150% -5% nan inf -inf nan% inf%"


def _plain_greedy(rows: Rows, count: int) -> NDArray[np.int64]:
    """Algorithm 1 of the paper from the row nearest to the mean, in float64, one pass a pick."""
    points = rows.astype(np.float64)
    pick = int(np.linalg.norm(points - points.mean(axis=0), axis=1).argmin())
    nearest = np.full(len(points), np.inf)
    picks = [pick]
    while len(picks) < count:
        nearest = np.minimum(nearest, np.linalg.norm(points - points[pick], axis=1))
        nearest[picks] = -1.0
        pick = int(nearest.argmax())
        picks.append(pick)
    return np.array(picks)


def _shortfalls(rows: Rows, picks: NDArray[np.int64]) -> NDArray[np.float64]:
    """By how much each pick after the first, when picked, missed the farthest row, in squared distance."""
    points = rows.astype(np.float64)
    nearest = np.full(len(points), np.inf)
    short = []
    for last, pick in pairwise(picks):
        nearest = np.minimum(nearest, np.square(points - points[last]).sum(axis=1))
        short.append(nearest.max() - nearest[pick])
    return np.array(short)


def _radius(rows: Rows, picks: NDArray[np.int64]) -> float:
    """Largest distance of any row to the nearest picked one."""
    points = rows.astype(np.float64)
    gaps = [np.linalg.norm(points - points[pick], axis=1) for pick in picks]
    return float(np.min(gaps, axis=0).max())


def _random(n: int, dims: int) -> Rows:
    return np.random.default_rng(7).normal(size=(n, dims)).astype(np.float32)


def _clustered(n: int, dims: int) -> Rows:
    rng = np.random.default_rng(7)
    centres = rng.normal(size=(12, dims)) * 20
    return (centres[rng.integers(0, 12, n)] + rng.normal(size=(n, dims))).astype(np.float32)


def _uneven(n: int, dims: int) -> Rows:
    """Most rows in a heap, a few far away, all far from the origin."""
    heavy = np.random.default_rng(7).standard_t(2, size=(n, dims))
    return (heavy + 50).astype(np.float32)


@pytest.mark.parametrize(
    ("n", "count", "working_sets"),
    [
        (2000, 300, (64, 16)),
        (2000, 300, (500, 100, 10)),
        (2000, 300, (1, 1)),
        (2000, 200, ()),
        (2000, 20, (1999,)),
        (1200, 1200, (64, 16)),
        (700, 90, (16384, 1024)),
        (3, 2, (1,)),
    ],
)
def test_the_picks_are_those_of_plain_greedy(n: int, count: int, working_sets: tuple[int, ...]) -> None:
    rows = _random(n, 12)

    picks = greedy_coreset(rows, count, working_sets=working_sets).picks

    np.testing.assert_array_equal(picks, _plain_greedy(rows, count))


@pytest.mark.parametrize("make", [_clustered, _uneven])
@pytest.mark.parametrize("working_sets", [(64, 16), (500, 100, 10), (1, 1), ()])
def test_every_pick_is_the_farthest_row_give_or_take_rounding(
    make: MakeRows, working_sets: tuple[int, ...]
) -> None:
    rows = make(2000, 12)

    picks = greedy_coreset(rows, 400, working_sets=working_sets).picks

    assert len(set(picks.tolist())) == 400
    # |x|^2 + |p|^2 - 2 x.p in float32 loses some 1e-6 of the squared norms.
    largest = np.square(rows - rows.mean(axis=0)).sum(axis=1).max()
    assert _shortfalls(rows, picks).max() <= 2e-6 * largest


def test_the_default_working_sets_pick_like_plain_greedy_beyond_their_own_size() -> None:
    rows = _random(18_000, 8)

    picks = greedy_coreset(rows, 1_300).picks

    np.testing.assert_array_equal(picks, _plain_greedy(rows, 1_300))


def test_the_first_pick_is_the_row_nearest_to_the_mean() -> None:
    rows = _clustered(1000, 6)

    first = greedy_coreset(rows, 1, working_sets=(64, 16)).picks

    assert first.tolist() == [int(np.square(rows - rows.mean(axis=0)).sum(axis=1).argmin())]


@pytest.mark.parametrize("working_sets", [(64, 16), (8,), ()])
def test_rows_at_equal_distances_are_covered_as_well_as_by_plain_greedy(
    working_sets: tuple[int, ...],
) -> None:
    side = np.arange(20, dtype=np.float32)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)

    for count in (5, 21, 399):
        picks = greedy_coreset(grid, count, working_sets=working_sets).picks

        assert len(set(picks.tolist())) == count
        # Greedy is within a factor 2 of the best cover, whichever way it breaks ties.
        assert _radius(grid, picks) <= 2 * _radius(grid, _plain_greedy(grid, count)) + 1e-6
    assert _radius(grid, greedy_coreset(grid, 400, working_sets=working_sets).picks) == 0


@pytest.mark.parametrize("working_sets", [(64, 16), (16384, 1024)])
@pytest.mark.parametrize(("distinct", "n", "count"), [(1, 50, 50), (7, 500, 300), (40, 900, 41)])
def test_with_fewer_distinct_rows_than_asked_for_it_ends_and_repeats_fill_up(
    working_sets: tuple[int, ...], distinct: int, n: int, count: int
) -> None:
    rows = np.tile(_random(distinct, 8), (n // distinct + 1, 1))[:n]

    picks = greedy_coreset(rows, count, working_sets=working_sets).picks

    assert len(set(picks.tolist())) == count
    assert set((picks[:distinct] % distinct).tolist()) == set(range(distinct))


def test_of_exact_copies_only_one_is_kept_while_other_rows_are_left() -> None:
    rows = _random(300, 8)
    rows[100:200] = rows[0]

    picks = greedy_coreset(rows, 200, working_sets=(64, 16)).picks

    assert len(np.unique(rows[picks], axis=0)) == 200


@pytest.mark.parametrize("working_sets", [(64, 16), ()])
def test_all_rows_is_a_permutation_of_them(working_sets: tuple[int, ...]) -> None:
    picks = greedy_coreset(_random(333, 5), 333, working_sets=working_sets).picks

    assert sorted(picks.tolist()) == list(range(333))


def test_a_single_row_is_the_coreset_of_itself() -> None:
    assert greedy_coreset(_random(1, 4), 1).picks.tolist() == [0]


def test_the_same_call_gives_the_same_picks_and_leaves_the_rows_alone() -> None:
    rows = _clustered(1500, 8)
    before = rows.copy()

    first, second = (greedy_coreset(rows, 150, working_sets=(64, 16)).picks for _ in range(2))

    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(rows, before)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e5])
def test_rows_far_from_the_origin_are_covered_as_well(offset: float) -> None:
    rows = _random(600, 4) + np.float32(offset)

    coreset = greedy_coreset(rows, 60, working_sets=(64, 16))
    radius = _radius(rows, coreset.picks)

    assert radius == pytest.approx(_radius(rows, _plain_greedy(rows, 60)), rel=0.05)


@pytest.mark.parametrize("count", [1, 7, 300, 599, 600])
def test_the_radius_is_the_largest_distance_to_the_nearest_pick(count: int) -> None:
    rows = _clustered(600, 6)

    coreset = greedy_coreset(rows, count, working_sets=(64, 16))

    assert coreset.radius == pytest.approx(_radius(rows, coreset.picks), rel=1e-3, abs=1e-3)


def test_progress_rises_to_the_count() -> None:
    told: list[tuple[int, int]] = []

    greedy_coreset(_random(2000, 4), 500, working_sets=(64, 16), progress=lambda *now: told.append(now))

    done = [picks for picks, _ in told]
    assert len(told) > 2
    assert done == sorted(done)
    assert told[-1] == (500, 500)
    assert {total for _, total in told} == {500}


@pytest.mark.parametrize("count", [0, -1, 11])
def test_more_rows_than_there_are_or_none_is_an_error(count: int) -> None:
    with pytest.raises(OptionError, match=f"{count} rows.*10 rows in all"):
        greedy_coreset(_random(10, 3), count)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("working_sets", [(16, 4), ()])
def test_values_that_are_not_finite_are_an_error_and_not_an_endless_search(
    value: float, working_sets: tuple[int, ...]
) -> None:
    rows = _random(100, 3)
    rows[5, 1] = value

    with pytest.raises(OptionError, match="not finite"):
        greedy_coreset(rows, 10, working_sets=working_sets)


def test_few_dims_are_not_projected() -> None:
    rows = _random(10, 128)

    assert project(rows, seed=0) is rows


def test_a_projection_keeps_distances_and_depends_on_the_seed_alone() -> None:
    rows = _random(200, 1024)

    projected = project(rows, seed=1)
    ratios = np.linalg.norm(projected[:100] - projected[100:], axis=1) / np.linalg.norm(
        rows[:100] - rows[100:], axis=1
    )

    assert projected.shape == (200, 128)
    assert projected.dtype == np.float32
    # A ratio's standard deviation is about 1 / sqrt(2 * 128) = 0.06.
    assert abs(ratios.mean() - 1) < 0.03
    assert abs(ratios - 1).max() < 0.3
    np.testing.assert_array_equal(projected, project(rows, seed=1))
    assert not np.array_equal(projected, project(rows, seed=2))


def test_a_projection_in_several_chunks_is_that_of_the_whole() -> None:
    rows = _random(70_000, 6)

    projected = project(rows, seed=0, dims=4)

    matrix = np.random.default_rng(0).standard_normal((6, 4), dtype=np.float32) / 2
    np.testing.assert_allclose(projected, rows @ matrix, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "expected", "of_1000"),
    [
        ("0.1", CoresetSize(fraction=0.1), 100),
        (".25", CoresetSize(fraction=0.25), 250),
        ("10%", CoresetSize(fraction=0.1), 100),
        (" 10 % ", CoresetSize(fraction=0.1), 100),
        ("0.1%", CoresetSize(fraction=0.001), 1),
        ("100%", CoresetSize(fraction=1.0), 1000),
        ("1.0", CoresetSize(fraction=1.0), 1000),
        ("1e-9", CoresetSize(fraction=1e-9), 1),
        ("1", CoresetSize(count=1), 1),
        ("300", CoresetSize(count=300), 300),
        ("5000", CoresetSize(count=5000), 1000),
        ("0.0999", CoresetSize(fraction=0.0999), 99),
        ("300 rows", CoresetSize(count=300), 300),
    ],
)
def test_coreset_sizes_are_read(text: str, expected: CoresetSize, of_1000: int) -> None:
    size = CoresetSize.parse(text)

    assert size.count == expected.count
    assert size.fraction == pytest.approx(expected.fraction)
    assert size.rows(1000) == of_1000


@pytest.mark.parametrize(
    "text",
    [*SENSELESS.split(), "", " ", "10 patches", "9" * 5000],
)
def test_senseless_coreset_sizes_are_an_error_that_shows_them(text: str) -> None:
    with pytest.raises(OptionError) as caught:
        CoresetSize.parse(text)

    assert repr(text) in caught.value.what
    assert "0.1" in caught.value.hint


@pytest.mark.parametrize(("text", "shown"), [("10%", "0.1"), ("5000", "5000 rows"), ("100%", "1.0")])
def test_a_coreset_size_is_shown_so_that_people_understand_it(text: str, shown: str) -> None:
    assert str(CoresetSize.parse(text)) == shown
    assert str(CoresetSize.parse(shown)) == shown  # as a manifest states it


@pytest.mark.parametrize(
    ("images", "expected"), [(209, 16385), (280, 21952), (264, 20697), (320, 25088), (60, 4704)]
)
def test_a_tenth_is_as_many_rows_as_the_reference_keeps(images: int, expected: int) -> None:
    # From the sizes of the index files that the reference implementation publishes.
    assert CoresetSize.parse("0.1").rows(images * 784) == expected
