from concurrent.futures import ThreadPoolExecutor

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.banks import Bank, RowSources
from pcedge.banks.exact_search import ExactSearch
from pcedge.banks.pruned_layout import LEAST_DIMS, Heads, Layout
from pcedge.banks.pruned_search import PrunedSearch

Rows = NDArray[np.float32]


def _features(count: int, dims: int, seed: int, *, decay: float = 0.03) -> Rows:
    """Rows whose variance falls off from one direction to the next, as that of patch embeddings does."""
    generator = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((dims, dims)))
    hidden = generator.standard_normal((count, dims)) * np.exp(-decay * np.arange(dims))
    return (hidden @ rotation + 3.0).astype(np.float32)


def _index(rows: Rows) -> faiss.IndexFlatL2:
    index = faiss.IndexFlatL2(rows.shape[1])
    index.add(rows)
    return index


def _squared_distances(queries: Rows, rows: Rows) -> NDArray[np.float64]:
    wide = rows.astype(np.float64)
    return np.stack([((wide - query) ** 2).sum(axis=1) for query in queries.astype(np.float64)])


@pytest.mark.parametrize("count", [1024, 1025, 3000])
@pytest.mark.parametrize("dims", [LEAST_DIMS, 130, 256, 384])
def test_pruned_search_finds_the_nearest_row_of_every_query(count: int, dims: int) -> None:
    rows, queries = _features(count, dims, 2), _features(211, dims, 3)
    everything = _squared_distances(queries, rows)

    distances, nearest, found = PrunedSearch(rows).search(queries)

    assert found.all()
    assert (nearest == everything.argmin(axis=1)).all()
    np.testing.assert_allclose(distances, everything.min(axis=1), rtol=2e-6)


def test_pruned_search_passes_over_nearly_all_rows() -> None:
    """Where it does not, `found` is false: a budget of a quarter of the rows is all it may spend."""
    rows = _features(4000, 384, 4)
    assert PrunedSearch(rows).search(_features(300, 384, 5))[2].all()


def test_rows_without_leading_directions_are_searched_plainly() -> None:
    generator = np.random.default_rng(6)
    rows = generator.standard_normal((2048, 256), dtype=np.float32)
    queries = generator.standard_normal((50, 256), dtype=np.float32)

    assert not PrunedSearch(rows).search(queries)[2].any()
    _, nearest = ExactSearch(_index(rows)).search(queries)

    assert (nearest == _squared_distances(queries, rows).argmin(axis=1)).all()


def test_a_row_of_the_bank_is_at_distance_zero_and_of_repeats_the_first_is_found() -> None:
    rows = _features(1500, 128, 7)
    rows[700], rows[1400] = rows[3], rows[3]

    distances, nearest, _ = PrunedSearch(rows).search(rows)

    assert (distances == 0).all()
    expected = np.arange(1500)
    expected[[700, 1400]] = 3
    assert (nearest == expected).all()


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1e6])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_rounding_never_rules_out_the_nearest_row(scale: float, offset: float) -> None:
    """Queries a hair from a row, far from the origin: a bound's rounding error exceeds the distance."""
    rows = (_features(2000, 192, 8) + np.float32(offset)) * np.float32(scale)
    step = np.random.default_rng(9).standard_normal(rows.shape) * 1e-4 * scale
    queries = (rows + step).astype(np.float32)[::7]
    everything = _squared_distances(queries, rows)

    distances, nearest = ExactSearch(_index(rows)).search(queries)

    chosen = everything[np.arange(len(queries)), nearest]
    np.testing.assert_allclose(chosen, everything.min(axis=1), rtol=1e-5)
    np.testing.assert_allclose(distances, chosen, rtol=1e-5)


def test_rows_in_fewer_directions_than_the_head_has_coordinates() -> None:
    """Nothing is left out of such rows, but much of queries that lie outside of their plane."""
    generator = np.random.default_rng(10)
    rows = np.zeros((1200, 300), np.float32)
    rows[:, :5] = generator.standard_normal((1200, 5))
    queries = rows[:100] + generator.standard_normal((100, 300), dtype=np.float32)

    _, nearest, found = PrunedSearch(rows).search(queries)

    assert found.all()
    assert (nearest == _squared_distances(queries, rows).argmin(axis=1)).all()


def test_every_row_alike() -> None:
    rows = np.ones((1100, 100), np.float32)

    distances, nearest = ExactSearch(_index(rows)).search(np.zeros((3, 100), np.float32))

    np.testing.assert_allclose(distances, 100.0, rtol=1e-6)
    assert (rows[nearest] == 1).all()


@pytest.mark.parametrize(("count", "dims"), [(1023, 256), (5000, LEAST_DIMS - 1), (1, 8)])
def test_small_banks_and_few_dims_are_searched_plainly(count: int, dims: int) -> None:
    rows, queries = _features(count, dims, 11), _features(64, dims, 12)

    distances, nearest = ExactSearch(_index(rows)).search(queries)

    everything = _squared_distances(queries, rows)
    assert (nearest == everything.argmin(axis=1)).all()
    np.testing.assert_allclose(distances, everything.min(axis=1), rtol=2e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("count", [10, 1200])
def test_what_is_not_finite_has_no_nearest_row(value: float, count: int) -> None:
    rows = _features(count, 128, 13)
    queries = rows[:4].copy()
    queries[2, 5] = value

    distances, nearest = ExactSearch(_index(rows)).search(queries)

    assert np.isnan(distances).tolist() == [False, False, True, False]
    assert nearest.tolist() == [0, 1, -1, 3]


def test_values_whose_squares_overflow_never_look_near() -> None:
    rows = _features(1200, 128, 14)

    distances, _ = ExactSearch(_index(rows)).search(np.full((1, 128), 1e30, np.float32))

    assert not distances[0] < 1e30


def test_distances_do_not_depend_on_the_way_the_row_was_found() -> None:
    rows, queries = _features(1300, 200, 15), _features(90, 200, 16)
    pruned, nearest, _ = PrunedSearch(rows).search(queries)

    plain = np.einsum("nd,nd->n", queries - rows[nearest], queries - rows[nearest])

    np.testing.assert_allclose(pruned, plain, rtol=1e-6)


def test_one_bank_serves_several_threads() -> None:
    rows, queries = _features(2000, 256, 17), _features(500, 256, 18)
    unnamed = np.zeros(len(rows), np.int32)
    bank = Bank.build(rows, RowSources((), unnamed, unnamed, unnamed))
    expected = _squared_distances(queries, rows).argmin(axis=1)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(bank.search, [queries] * 8))

    assert all((nearest == expected).all() for _, nearest in results)


def test_no_queries() -> None:
    distances, nearest = ExactSearch(_index(_features(1100, 128, 19))).search(np.empty((0, 128), np.float32))
    assert distances.shape == nearest.shape == (0,)


def test_what_a_level_leaves_out_is_never_understated() -> None:
    rows = _features(500, 150, 20)
    layout = Layout.of(rows)
    centered = rows.astype(np.float64) - layout.center
    heads = Heads.of(rows - layout.center, layout.basis)

    for level, dims in enumerate((24, 48, 96)):
        coordinates = centered @ layout.basis[:, :dims].astype(np.float64)
        left = np.sqrt(((centered - coordinates @ layout.basis[:, :dims].T) ** 2).sum(axis=1))
        assert (heads.rests[:, level] >= left * (1 - 1e-7)).all()
        np.testing.assert_allclose(heads.rests[:, level], left, rtol=5e-3)
