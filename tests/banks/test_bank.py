from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.banks import INDEX_FILE, ROWS_FILE, Bank, RowSources
from pcedge.errors import BundleError

RNG = np.random.default_rng(3)
IMAGES = ("good/a.png", "good/ü b.png")


def _rows(n: int = 40, dims: int = 16) -> NDArray[np.float32]:
    return RNG.normal(size=(n, dims)).astype(np.float32)


def _sources(n: int = 40) -> RowSources:
    return RowSources.of_patches(IMAGES, np.arange(n, dtype=np.int64), (4, 6))


def _saved(directory: Path, rows: NDArray[np.float32]) -> Path:
    directory.mkdir(exist_ok=True)
    Bank.build(rows, _sources(len(rows))).save(directory)
    return directory


def test_a_saved_bank_opens_as_it_was(tmp_path: Path) -> None:
    rows = _rows()

    bank = Bank.open(_saved(tmp_path, rows))

    assert (len(bank), bank.dims) == (40, 16)
    np.testing.assert_array_equal(bank.rows, rows)
    assert bank.sources.images == IMAGES
    for name in ("image", "y", "x"):
        np.testing.assert_array_equal(getattr(bank.sources, name), getattr(_sources(), name))


def test_the_file_is_an_ordinary_faiss_index(tmp_path: Path) -> None:
    rows = _rows()

    index = faiss.read_index(str(_saved(tmp_path, rows) / INDEX_FILE))

    assert isinstance(index, faiss.IndexFlatL2)
    assert (index.ntotal, index.d) == (40, 16)


def test_the_rows_outlive_their_bank_and_do_not_change_it() -> None:
    rows = _rows()
    bank = Bank.build(rows, _sources())

    copied = bank.rows
    copied[:] = 0

    np.testing.assert_array_equal(bank.rows, rows)


def test_a_bank_keeps_its_own_copy_of_the_rows() -> None:
    rows = _rows()
    bank = Bank.build(rows, _sources())

    rows[:] = 0

    assert bank.search(np.zeros((1, 16), np.float32))[0] > 0


@pytest.mark.parametrize("queries", [1, 3, 100])
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_nearest_row_and_its_squared_distance_are_found(queries: int, order: str) -> None:
    rows = _rows(200)
    wanted = np.asarray(_rows(queries), order="C" if order == "C" else "F")
    squared = np.square(wanted[:, None].astype(np.float64) - rows[None]).sum(axis=2)

    distances, found = Bank.build(rows, _sources(200)).search(wanted)

    np.testing.assert_array_equal(found, squared.argmin(axis=1))
    np.testing.assert_allclose(distances, squared.min(axis=1), rtol=1e-5)
    assert [distances.dtype.name, found.dtype.name] == ["float32", "int64"]


@pytest.mark.parametrize("queries", [5, 100])
def test_distances_are_never_negative_however_they_are_rounded(queries: int) -> None:
    rows = _rows(queries) + 1000

    distances, _ = Bank.build(rows, _sources(queries)).search(rows)

    assert distances.min() >= 0
    assert distances.max() < 5.0  # of 16 million: the rounding of |q|^2 + |b|^2 - 2 q.b


@pytest.mark.parametrize("queries", [2, 50])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_embedding_that_is_not_finite_has_no_distance(queries: int, value: float) -> None:
    rows = _rows()
    wanted = rows[np.arange(queries) % 40].copy()
    wanted[1, 3] = value

    distances, found = Bank.build(rows, _sources()).search(wanted)

    assert np.flatnonzero(np.isnan(distances)).tolist() == [1]
    assert np.flatnonzero(found < 0).tolist() == [1]


@pytest.mark.parametrize(
    ("patch", "place"),
    [(0, (0, 0, 0)), (5, (0, 0, 5)), (6, (0, 1, 0)), (24, (1, 0, 0)), (47, (1, 3, 5))],
)
def test_patches_are_numbered_image_by_image_and_line_by_line(
    patch: int, place: tuple[int, int, int]
) -> None:
    sources = RowSources.of_patches(IMAGES, np.array([patch]), (4, 6))

    assert (sources.image[0], sources.y[0], sources.x[0]) == place


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _text(path: Path) -> None:
    path.write_bytes(b"not what it should be\n" * 20)


def _remove(path: Path) -> None:
    path.unlink()


def _change_stored_values(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[120] ^= 255
    path.write_bytes(content)


def _lone_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(40))


def _pickled_objects(path: Path) -> None:
    numbers = np.zeros(40, np.int32)
    np.savez(path, images=np.array([{"a": 1}], object), image=numbers, y=numbers, x=numbers)


def _array_missing(path: Path) -> None:
    np.savez(path, images=np.array(IMAGES), image=np.zeros(40, np.int32))


def _inner_product_index(path: Path) -> None:
    index = faiss.IndexFlatIP(16)
    index.add(_rows())
    faiss.write_index(index, str(path))


def _compressed_index(path: Path) -> None:
    index = faiss.index_factory(16, "SQ8")
    index.train(_rows())
    index.add(_rows())
    faiss.write_index(index, str(path))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        (name, damage)
        for name in (INDEX_FILE, ROWS_FILE)
        for damage in (_truncate, _cut_short, _empty, _text, _remove)
    ]
    + [
        (ROWS_FILE, damage)
        for damage in (_change_stored_values, _lone_array, _pickled_objects, _array_missing)
    ]
    + [(INDEX_FILE, damage) for damage in (_inner_product_index, _compressed_index)],
)
def test_a_file_that_is_not_what_it_should_be_is_an_error_that_names_it(
    tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    directory = _saved(tmp_path, _rows())
    damage(directory / name)

    with pytest.raises(BundleError) as caught:
        Bank.open(directory)

    assert str(directory / name) in caught.value.what
    assert caught.value.hint


def test_files_of_two_banks_do_not_go_together(tmp_path: Path) -> None:
    directory = _saved(tmp_path / "a", _rows())
    other = _saved(tmp_path / "b", _rows(39))
    (directory / ROWS_FILE).write_bytes((other / ROWS_FILE).read_bytes())

    with pytest.raises(BundleError, match=r"bank\.faiss has 40 rows, but bank_rows\.npz describes 39"):
        Bank.open(directory)
