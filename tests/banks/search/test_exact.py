import multiprocessing
import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.banks import Bank, ExactSearch, RowSources

Rows = NDArray[np.float32]
# With fewer dims, banks are searched by the plain product.
LEAST_DIMS = 96


class _Index:
    """A FAISS index that counts the queries which reach its own search, the plain product."""

    def __init__(self, rows: Rows) -> None:
        self._index = faiss.IndexFlatL2(rows.shape[1])
        self._index.add(rows)
        self.ntotal, self.d = self._index.ntotal, self._index.d
        self.searched = 0

    def search(self, queries: Rows, k: int) -> tuple[Rows, NDArray[np.int64]]:
        self.searched += len(queries)
        distances, rows = self._index.search(queries, k)
        return distances, rows

    def get_xb(self) -> object:
        return self._index.get_xb()


def _features(count: int, dims: int, seed: int) -> Rows:
    """Rows whose variance falls off from one direction to the next, as that of patch embeddings does."""
    generator = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((dims, dims)))
    hidden = generator.standard_normal((count, dims)) * np.exp(-0.03 * np.arange(dims))
    rows: Rows = (hidden @ rotation + 3.0).astype(np.float32)
    return rows


def _squared_distances(queries: Rows, rows: Rows) -> NDArray[np.float64]:
    wide = rows.astype(np.float64)
    return np.stack([((wide - query) ** 2).sum(axis=1) for query in queries.astype(np.float64)])


@pytest.mark.parametrize("count", [1024, 1025, 3000])
@pytest.mark.parametrize("dims", [LEAST_DIMS, 130, 256, 384])
def test_pruned_search_finds_the_nearest_row_of_every_query(count: int, dims: int) -> None:
    rows, queries = _features(count, dims, 2), _features(211, dims, 3)
    everything = _squared_distances(queries, rows)

    index = _Index(rows)
    distances, nearest = ExactSearch(index).search(queries)

    assert index.searched == 0
    assert (nearest == everything.argmin(axis=1)).all()
    np.testing.assert_allclose(distances, everything.min(axis=1), rtol=2e-6)


def test_rows_without_leading_directions_are_searched_plainly() -> None:
    generator = np.random.default_rng(6)
    rows = generator.standard_normal((2048, 256), dtype=np.float32)
    queries = generator.standard_normal((50, 256), dtype=np.float32)

    index = _Index(rows)
    _, nearest = ExactSearch(index).search(queries)

    assert index.searched == len(queries)
    assert (nearest == _squared_distances(queries, rows).argmin(axis=1)).all()


def test_a_row_of_the_bank_is_at_distance_zero_and_of_repeats_the_first_is_found() -> None:
    rows = _features(1500, 128, 7)
    rows[700], rows[1400] = rows[3], rows[3]

    distances, nearest = ExactSearch(_Index(rows)).search(rows)

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

    distances, nearest = ExactSearch(_Index(rows)).search(queries)

    chosen = everything[np.arange(len(queries)), nearest]
    np.testing.assert_allclose(chosen, everything.min(axis=1), rtol=1e-5)
    np.testing.assert_allclose(distances, chosen, rtol=1e-5)


def test_rows_in_fewer_directions_than_the_head_has_coordinates() -> None:
    """Nothing is left out of such rows, but much of queries that lie outside of their plane."""
    generator = np.random.default_rng(10)
    rows = np.zeros((1200, 300), np.float32)
    rows[:, :5] = generator.standard_normal((1200, 5))
    queries = rows[:100] + generator.standard_normal((100, 300), dtype=np.float32)

    index = _Index(rows)
    _, nearest = ExactSearch(index).search(queries)

    assert index.searched == 0
    assert (nearest == _squared_distances(queries, rows).argmin(axis=1)).all()


def test_every_row_alike() -> None:
    rows = np.ones((1100, 100), np.float32)

    distances, nearest = ExactSearch(_Index(rows)).search(np.zeros((3, 100), np.float32))

    np.testing.assert_allclose(distances, 100.0, rtol=1e-6)
    assert (rows[nearest] == 1).all()


@pytest.mark.parametrize(("count", "dims"), [(1023, 256), (5000, LEAST_DIMS - 1), (1, 8)])
def test_small_banks_and_few_dims_are_searched_plainly(count: int, dims: int) -> None:
    rows, queries = _features(count, dims, 11), _features(64, dims, 12)

    distances, nearest = ExactSearch(_Index(rows)).search(queries)

    everything = _squared_distances(queries, rows)
    assert (nearest == everything.argmin(axis=1)).all()
    np.testing.assert_allclose(distances, everything.min(axis=1), rtol=2e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("count", [10, 1200])
def test_what_is_not_finite_has_no_nearest_row(value: float, count: int) -> None:
    rows = _features(count, 128, 13)
    queries = rows[:4].copy()
    queries[2, 5] = value

    distances, nearest = ExactSearch(_Index(rows)).search(queries)

    assert np.isnan(distances).tolist() == [False, False, True, False]
    assert nearest.tolist() == [0, 1, -1, 3]


def test_values_whose_squares_overflow_never_look_near() -> None:
    rows = _features(1200, 128, 14)

    distances, _ = ExactSearch(_Index(rows)).search(np.full((1, 128), 1e30, np.float32))

    assert not distances[0] < 1e30


def test_distances_do_not_depend_on_the_way_the_row_was_found() -> None:
    rows, queries = _features(1300, 200, 15), _features(90, 200, 16)
    index = _Index(rows)
    pruned, nearest = ExactSearch(index).search(queries)
    assert index.searched == 0

    plain, _ = ExactSearch(_Index(rows[nearest])).search(queries)

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
    distances, nearest = ExactSearch(_Index(_features(1100, 128, 19))).search(np.empty((0, 128), np.float32))
    assert distances.shape == nearest.shape == (0,)


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e19])
def test_a_row_that_cannot_be_bounded_leaves_the_others_to_the_plain_product(value: float) -> None:
    rows, queries = _features(1500, 128, 21), _features(40, 128, 22)
    expected = _squared_distances(queries, rows[1:]).argmin(axis=1) + 1
    rows[0] = value

    index = _Index(rows)
    _, nearest = ExactSearch(index).search(queries)

    assert index.searched == 40
    assert (nearest == expected).all()


@pytest.mark.parametrize("shape", [(5, 1), (5, 127), (128,)])
def test_embeddings_of_another_width_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="a bank of 128 dims"):
        ExactSearch(_Index(_features(1100, 128, 23))).search(np.zeros(shape, np.float32))


def test_a_search_works_on_in_a_forked_process() -> None:
    search = ExactSearch(_Index(_features(1100, 128, 24)))
    queries = _features(250, 128, 25)
    _, expected = search.search(queries)
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe()

    child = context.Process(target=lambda: sender.send(search.search(queries)[1].tolist()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking a process with threads
        child.start()
    answered = receiver.poll(60)
    found = receiver.recv() if answered else None
    child.kill()
    child.join()

    assert found == expected.tolist()


_SEARCH = """
import numpy as np, faiss, warnings
from pcedge.banks import ExactSearch
rows = (np.random.default_rng(0).standard_normal((1100, 128)) * np.exp(-0.03 * np.arange(128))).astype("f")
index = faiss.IndexFlatL2(128)
index.add(rows)
assert (ExactSearch(index).search(rows)[1] == np.arange(1100)).all()
"""


def _run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **environment},
    )


def test_damaged_compiled_code_on_disk_is_passed_over(tmp_path: Path) -> None:
    assert _run(_SEARCH, NUMBA_CACHE_DIR=str(tmp_path)).returncode == 0
    files = list(tmp_path.rglob("*.nb?"))
    assert files
    for path in files:
        path.write_bytes(b"")

    done = _run(_SEARCH, NUMBA_CACHE_DIR=str(tmp_path))

    assert done.returncode == 0, done.stderr


def test_without_numba_the_search_is_plain_and_says_so() -> None:
    done = _run("import sys; sys.modules['numba'] = None\n" + _SEARCH)

    assert done.returncode == 0, done.stderr
    assert "searching plainly" in done.stderr
