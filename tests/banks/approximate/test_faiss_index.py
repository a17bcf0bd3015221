from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.banks import ApproximateIndex, Bank, RowSources, default_parameters
from pcedge.errors import BundleError, OptionError

Rows = NDArray[np.float32]
DIMS = 32


def _rows(count: int, seed: int = 0) -> Rows:
    return np.random.default_rng(seed).normal(size=(count, DIMS)).astype(np.float32)


def _bank(rows: Rows) -> Bank:
    places = np.zeros(len(rows), np.int32)
    return Bank.build(rows, RowSources(("good/0.png",), places, places, places))


@lru_cache
def _built(factory: str) -> ApproximateIndex:
    """An index of 600 rows that no test tunes; training some takes a second."""
    return ApproximateIndex.build(_rows(600), factory)


def _exact(rows: Rows, queries: Rows) -> NDArray[np.float64]:
    distances: NDArray[np.float64] = ((queries[:, None].astype(np.float64) - rows[None]) ** 2).sum(axis=2)
    return distances


@pytest.mark.parametrize(
    "factory",
    ["Flat", "SQ8", "SQfp16", "HNSW16", "IVF8,Flat", "IVF8,SQ8", "PQ8x4", "IVF8,PQ8x4", "PCA16,Flat", "LSH"],
)
def test_the_distance_is_that_of_the_row_named_and_never_too_small(
    factory: str, capfd: pytest.CaptureFixture[str]
) -> None:
    rows, queries = _rows(600), _rows(90, 1)
    everything = _exact(rows, queries)
    index = ApproximateIndex.build(rows, factory)
    index.tune(default_parameters(factory))

    distances, found = _bank(rows).searched_by(index).search(queries)

    assert [distances.dtype.name, found.dtype.name] == ["float32", "int64"]
    np.testing.assert_allclose(distances, everything[np.arange(90), found], rtol=1e-5)
    assert (distances >= everything.min(axis=1) * (1 - 1e-5)).all()
    if factory in ("Flat", "SQ8", "SQfp16", "HNSW16", "IVF8,Flat"):
        assert (found == everything.argmin(axis=1)).mean() > 0.95
    assert "WARNING" not in "".join(capfd.readouterr()), "FAISS's words on few rows are kept quiet"


def test_more_candidates_find_more() -> None:
    rows, queries = _rows(600), _rows(200, 1)
    index, nearest = _built("PQ8x4"), _exact(rows, queries).argmin(axis=1)

    few, many, all_of_them = (
        (_bank(rows).searched_by(index, count).search(queries)[1] == nearest).mean()
        for count in (1, 20, 9999)
    )

    assert few < many < all_of_them == 1.0


@pytest.mark.parametrize("factory", ["SQ8", "SQfp16", "SQ4", "PQ8x4", "Flat"])
@pytest.mark.parametrize("candidates", [1, 4, 600])
def test_what_is_called_proved_is_the_nearest(factory: str, candidates: int) -> None:
    rows, queries = _rows(600), np.concatenate((_rows(150, 1), _rows(600)[:50] + np.float32(0.01)))
    index = _built(factory)
    loss = index.loss(rows)
    if factory == "Flat":
        assert loss is None, "it is a search of its own; nothing is lost and nothing is claimed"
        return
    assert loss is not None
    approximate = _bank(rows).searched_by(index, candidates).approximate
    assert approximate is not None

    _, found, proved = approximate.search_proved(queries, loss)

    right = found == _exact(rows, queries).argmin(axis=1)
    assert right[proved].all()
    if candidates == 600:
        assert proved.all()
    elif candidates == 4 and factory in ("SQ8", "SQfp16"):
        assert proved.mean() > 0.5


def test_indexes_that_do_not_look_at_every_row_prove_nothing() -> None:
    rows = _rows(600)

    losses = [ApproximateIndex.build(rows, factory).loss(rows) for factory in ("HNSW16", "IVF8,SQ8", "LSH")]

    assert losses == [None, None, None]


@pytest.mark.parametrize("factory", ["HNSW16", "SQ8", "IVF8,Flat"])
def test_an_embedding_that_is_not_finite_has_no_row(factory: str) -> None:
    rows, queries = _rows(600), _rows(4, 1)
    queries[1, 3] = np.nan
    bank = _bank(rows).searched_by(_built(factory))

    distances, found = bank.search(queries)

    assert np.isnan(distances).tolist() == [False, True, False, False]
    assert found[1] == -1
    assert (found[[0, 2, 3]] >= 0).all()


def test_a_saved_index_opens_as_it_was(tmp_path: Path) -> None:
    rows, queries = _rows(600), _rows(50, 1)
    index = ApproximateIndex.build(rows, "IVF8,SQ8")
    index.save(tmp_path / "index")

    opened = ApproximateIndex.open(tmp_path / "index", "IVF8,SQ8", rows=600, dims=DIMS)

    expected = _bank(rows).searched_by(index).search(queries)
    np.testing.assert_array_equal(_bank(rows).searched_by(opened).search(queries)[1], expected[1])
    assert index.nbytes == (tmp_path / "index").stat().st_size


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("Nonsense", "could not parse"),
        ("PQ7", "multiple of the number of subquantizers"),
        ("IVF601,Flat", "at least 601 rows to be trained, the bank has 600"),
        ("PQ8x12", "at least 4096 rows"),
        ("IDMap,Flat", "cannot build"),
        ("IVF0,Flat", "cannot build"),
    ],
)
def test_what_cannot_be_built_is_said_with_examples(factory: str, words: str) -> None:
    with pytest.raises(OptionError) as caught:
        ApproximateIndex.build(_rows(600), factory)

    assert repr(factory) in caught.value.what
    assert words in caught.value.what
    assert "HNSW32" in caught.value.hint


@pytest.mark.parametrize("parameters", ["efSearch=3", "nprobe", "nprobe=x", "nonsense=1"])
def test_parameters_that_an_index_lacks_are_refused(parameters: str) -> None:
    index = ApproximateIndex.build(_rows(600), "IVF8,Flat")

    with pytest.raises(OptionError, match=parameters):
        index.tune(parameters)


def test_parameters_change_what_is_found() -> None:
    rows, queries = _rows(600), _rows(200, 1)
    index, nearest = ApproximateIndex.build(rows, "IVF8,Flat"), _exact(rows, queries).argmin(axis=1)

    index.tune("nprobe=1")
    one = (_bank(rows).searched_by(index).search(queries)[1] == nearest).mean()
    index.tune("nprobe=8")

    assert one < (_bank(rows).searched_by(index).search(queries)[1] == nearest).mean() == 1.0


@pytest.mark.parametrize("damage", ["cut", "text", "other rows"])
def test_a_file_that_is_no_index_of_these_rows_is_an_error_that_names_it(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "bank.flat.faiss"
    ApproximateIndex.build(_rows(600 if damage != "other rows" else 599), "Flat").save(path)
    if damage != "other rows":
        path.write_bytes(path.read_bytes()[:100] if damage == "cut" else b"nothing of the kind" * 50)

    with pytest.raises(BundleError) as caught:
        ApproximateIndex.open(path, "Flat", rows=600, dims=DIMS)

    assert str(path) in caught.value.what
    assert "pcedge index" in caught.value.hint


def test_another_number_of_dims_is_an_error_of_the_caller() -> None:
    bank = _bank(_rows(600)).searched_by(ApproximateIndex.build(_rows(600), "Flat"))

    with pytest.raises(ValueError, match="33"):
        bank.search(np.zeros((2, DIMS + 1), np.float32))


def test_a_patch_without_candidates_is_searched_exactly() -> None:
    """More candidates than a list has rows leave places empty; a list without rows leaves all of them."""
    rows = np.concatenate((np.zeros((599, DIMS), np.float32), _rows(1) + 100))
    index = ApproximateIndex.build(rows, "IVF8,Flat")
    queries = _rows(40, 1) * np.float32(30)

    distances, found = _bank(rows).searched_by(index, 3).search(queries)

    assert (found >= 0).all()
    np.testing.assert_allclose(distances, _exact(rows, queries)[np.arange(40), found], rtol=1e-5)
