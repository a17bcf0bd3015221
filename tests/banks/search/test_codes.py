"""8-bit codes in place of rows in memory: what is found must not change by a bit."""

from pathlib import Path

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.banks import INDEX_FILE, Bank, ExactSearch, RowSources

Rows = NDArray[np.float32]


def _features(count: int, dims: int, seed: int, fading: float = 0.03) -> Rows:
    generator = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((dims, dims)))
    hidden = generator.standard_normal((count, dims)) * np.exp(-fading * np.arange(dims))
    rows: Rows = (hidden @ rotation + 3.0).astype(np.float32)
    return rows


def _saved(directory: Path, rows: Rows) -> Path:
    places = np.zeros(len(rows), np.int32)
    Bank.build(rows, RowSources(("good/0.png",), places, places, places)).save(directory)
    return directory


def _flat(rows: Rows) -> faiss.IndexFlatL2:
    index = faiss.IndexFlatL2(rows.shape[1])
    index.add(rows)
    return index


@pytest.mark.parametrize(("count", "dims"), [(1024, 96), (1100, 130), (3000, 384)])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_rows_on_disk_give_the_same_rows_and_distances(
    tmp_path: Path, count: int, dims: int, offset: float
) -> None:
    rows = _features(count, dims, 2) + np.float32(offset)
    queries = _features(300, dims, 3) + np.float32(offset)
    directory = _saved(tmp_path, rows)

    on_disk, in_memory = Bank.open(directory, on_disk=True), Bank.open(directory)

    for wanted in (queries, rows[::7], rows[::5] + np.float32(1e-4)):
        distances, nearest = on_disk.search(wanted)
        expected, expected_rows = in_memory.search(wanted)
        assert (nearest == expected_rows).all()
        np.testing.assert_allclose(distances, expected, rtol=2e-6)
    np.testing.assert_array_equal(on_disk.rows, rows)


@pytest.mark.parametrize("outlier", [1.0, 1e3])
def test_one_huge_row_that_coarsens_the_codes_loses_nothing(outlier: float) -> None:
    rows, queries = _features(1500, 128, 4), _features(200, 128, 5)
    rows[17] *= np.float32(outlier)
    everything = ((queries[:, None].astype(np.float64) - rows[None]) ** 2).sum(axis=2)

    distances, nearest = ExactSearch(_flat(rows), encoded=True).search(queries)

    assert (nearest == everything.argmin(axis=1)).all()
    np.testing.assert_allclose(distances, everything.min(axis=1), rtol=1e-5)


def test_dims_that_never_vary_are_no_trouble() -> None:
    rows, queries = _features(1200, 128, 6), _features(50, 128, 7)
    rows[:, 40:60] = 2.5
    everything = ((queries[:, None].astype(np.float64) - rows[None]) ** 2).sum(axis=2)

    _, nearest = ExactSearch(_flat(rows), encoded=True).search(queries)

    assert (nearest == everything.argmin(axis=1)).all()


def test_codes_take_a_fraction_of_the_memory(tmp_path: Path) -> None:
    rows = _features(4000, 512, 8)
    directory = _saved(tmp_path, rows)

    on_disk, in_memory = Bank.open(directory, on_disk=True), Bank.open(directory)

    assert in_memory.nbytes > rows.nbytes
    assert 4000 * 512 < on_disk.nbytes < rows.nbytes / 1.5


@pytest.mark.parametrize(("count", "dims"), [(40, 16), (5000, 64)])
def test_small_banks_on_disk_are_searched_plainly(tmp_path: Path, count: int, dims: int) -> None:
    rows, queries = _features(count, dims, 9), _features(70, dims, 10)
    bank = Bank.open(_saved(tmp_path, rows), on_disk=True)

    distances, nearest = bank.search(queries)

    everything = ((queries[:, None].astype(np.float64) - rows[None]) ** 2).sum(axis=2)
    assert (nearest == everything.argmin(axis=1)).all()
    np.testing.assert_allclose(distances, everything.min(axis=1), rtol=2e-6)


def test_rows_that_codes_cannot_bound_are_searched_plainly(tmp_path: Path) -> None:
    """Rows without leading directions: the search gives up, and reads them from the file."""
    generator = np.random.default_rng(11)
    rows = generator.standard_normal((2048, 256), dtype=np.float32)
    queries = generator.standard_normal((40, 256), dtype=np.float32)
    bank = Bank.open(_saved(tmp_path, rows), on_disk=True)

    _, nearest = bank.search(queries)

    everything = ((queries[:, None].astype(np.float64) - rows[None]) ** 2).sum(axis=2)
    assert (nearest == everything.argmin(axis=1)).all()


def test_a_bank_that_is_replaced_on_disk_stays_as_it_was_opened(tmp_path: Path) -> None:
    rows, queries = _features(1100, 128, 12), _features(30, 128, 13)
    bank = Bank.open(_saved(tmp_path, rows), on_disk=True)
    expected = bank.search(queries)
    (tmp_path / "new").mkdir()
    other = _saved(tmp_path / "new", _features(1100, 128, 14))

    (other / INDEX_FILE).replace(tmp_path / INDEX_FILE)

    distances, nearest = bank.search(queries)
    np.testing.assert_array_equal(distances, expected[0])
    np.testing.assert_array_equal(nearest, expected[1])
