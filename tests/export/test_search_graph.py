import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from pcedge.errors import ExportError, MissingExtraError
from pcedge.export import (
    BANK,
    BANK_SQUARED_NORMS,
    OPSET,
    ROWS,
    SQUARED_DISTANCES,
    TorchRuntime,
    check_operators,
    fixed_shapes,
    fuse,
    write_fp16,
    write_fused,
    write_onnx,
    write_search,
    write_search_part,
)

DIMS, SIZE = 24, 16
Found = tuple[NDArray[np.float32], NDArray[np.int64]]


@dataclass(frozen=True)
class _Session:
    """An ONNX file on the CPU, and a bank that is given with every call."""

    session: Any

    def __call__(self, first: NDArray[np.float32], bank: NDArray[np.float32]) -> Found:
        name = self.session.get_inputs()[0].name
        feed = {name: first, BANK: bank, BANK_SQUARED_NORMS: (bank**2).sum(axis=1)}
        distances, rows = self.session.run([SQUARED_DISTANCES, ROWS], feed)
        return distances, rows


def _open(path: Path) -> _Session:
    return _Session(onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]))


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> _Session:
    path = tmp_path_factory.mktemp("search") / "search.onnx"
    write_search(path, DIMS)
    return _open(path)


def _rows(seed: int, count: int, offset: float = 0.0) -> NDArray[np.float32]:
    values: NDArray[np.float32] = np.random.default_rng(seed).normal(offset, 1, (count, DIMS)).astype("f4")
    return values


def _exact(queries: NDArray[np.float32], bank: NDArray[np.float32]) -> NDArray[np.float64]:
    differences = queries[:, np.newaxis].astype(np.float64) - bank.astype(np.float64)
    squared: NDArray[np.float64] = (differences**2).sum(axis=2)
    return squared


@pytest.mark.parametrize(("batch", "patches", "rows"), [(1, 50, 300), (3, 7, 40), (1, 1, 1), (2, 5, 1)])
def test_the_nearest_row_and_its_distance_are_those_of_float64(
    search: _Session, batch: int, patches: int, rows: int
) -> None:
    queries, bank = _rows(1, batch * patches), _rows(2, rows)
    exact = _exact(queries, bank)

    distances, found = search(queries.reshape(batch, patches, DIMS), bank)

    assert distances.shape == found.shape == (batch, patches)
    assert [distances.dtype, found.dtype] == [np.dtype(np.float32), np.dtype(np.int64)]
    np.testing.assert_array_equal(found.ravel(), exact.argmin(axis=1))
    np.testing.assert_allclose(distances.ravel(), exact.min(axis=1), rtol=1e-6)


def test_it_finds_what_faiss_finds(search: _Session) -> None:
    queries, bank = _rows(3, 200), _rows(4, 500)
    index = faiss.IndexFlatL2(DIMS)
    index.add(bank)
    expected, rows = index.search(queries, 1)

    distances, found = search(queries[np.newaxis], bank)

    np.testing.assert_array_equal(found[0], rows[:, 0])
    np.testing.assert_allclose(distances[0], expected[:, 0], rtol=1e-5)


def test_a_row_itself_is_at_distance_zero_however_large_its_norm(search: _Session) -> None:
    bank = _rows(5, 100, offset=50.0)
    norms, products = (bank**2).sum(axis=1), bank @ bank.T
    assert (norms + norms - 2 * np.diag(products) < 0).any()

    distances, found = search(bank[np.newaxis], bank)

    np.testing.assert_array_equal(bank[found[0]], bank)
    assert (distances == 0).all()


def test_the_distance_of_the_row_it_names_is_exact_even_where_the_product_cannot_tell_rows_apart(
    search: _Session,
) -> None:
    queries, bank = _rows(6, 80, offset=1000.0), _rows(7, 60, offset=1000.0)
    exact = _exact(queries, bank)

    distances, found = search(queries[np.newaxis], bank)

    np.testing.assert_allclose(distances[0], exact[np.arange(80), found[0]], rtol=1e-6)
    assert (distances >= 0).all()


def test_of_equal_rows_one_is_named(search: _Session) -> None:
    bank = np.repeat(_rows(8, 20), 5, axis=0)
    queries = _rows(9, 30)

    distances, found = search(queries[np.newaxis], bank)

    np.testing.assert_array_equal(found[0] // 5, _exact(queries, bank[::5]).argmin(axis=1))
    np.testing.assert_allclose(distances[0], _exact(queries, bank).min(axis=1), rtol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_embedding_that_is_not_finite_spoils_only_itself(search: _Session, value: float) -> None:
    queries, bank = _rows(10, 6), _rows(11, 40)
    expected, _ = search(queries[np.newaxis], bank)
    queries[2, 5] = value

    distances, _ = search(queries[np.newaxis], bank)

    assert not np.isfinite(distances[0, 2])
    np.testing.assert_array_equal(np.delete(distances[0], 2), np.delete(expected[0], 2))


def test_another_bank_needs_no_other_session(search: _Session) -> None:
    queries = _rows(12, 10)

    for seed, count in ((13, 30), (14, 300), (15, 3)):
        bank = _rows(seed, count)
        _, found = search(queries[np.newaxis], bank)
        np.testing.assert_array_equal(found[0], _exact(queries, bank).argmin(axis=1))


class _Embedder(nn.Module):
    """Images to [n, 64 patches, DIMS]."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution = nn.Conv2d(3, DIMS, 3, stride=2, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.convolution(images)).flatten(2).transpose(1, 2)


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("embedder") / "embedder.onnx"
    write_onnx(_Embedder(), torch.zeros(2, 3, SIZE, SIZE), path)
    return path


@pytest.mark.parametrize(("half", "tolerance"), [(False, 1e-5), (True, 1e-2)])
def test_the_fused_network_does_both(embedder: Path, tmp_path: Path, half: bool, tolerance: float) -> None:
    source, path = embedder, tmp_path / "fused.onnx"
    if half:
        source = tmp_path / "embedder.fp16.onnx"
        write_fp16(embedder, source)
    write_search_part(tmp_path / "search.onnxpart", DIMS)
    images = np.random.default_rng(16).normal(size=(3, 3, SIZE, SIZE)).astype(np.float32)
    embeddings = TorchRuntime(_Embedder(), "cpu").infer(images)
    bank = embeddings[0] + 0.5
    exact = _exact(embeddings.reshape(-1, DIMS), bank).min(axis=1)

    write_fused(source, tmp_path / "search.onnxpart", path)
    distances, rows = _open(path)(images, bank)

    assert distances.shape == rows.shape == (3, 64)
    np.testing.assert_allclose(distances.ravel(), exact, rtol=tolerance)
    shapes = {"embeddings": (2, 64, DIMS), SQUARED_DISTANCES: (2, 64), ROWS: (2, 64)}
    assert fixed_shapes(path, batch=2, bank_rows=9) == shapes
    assert check_operators(path)["ReduceSumSquare"] == ("FP32",)
    assert check_operators(path)["Conv"] == (("FP16",) if half else ("FP32",))


def test_the_search_is_opset_17_and_known_to_tensorrt(tmp_path: Path) -> None:
    path = tmp_path / "search.onnx"
    path.write_bytes(b"old")

    write_search(path, DIMS)

    model = onnx.load(path)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    assert {"MatMul", "ArgMin"} <= set(check_operators(path))
    assert fixed_shapes(path, batch=1, patches=784, bank_rows=9)[ROWS] == (1, 784)


def test_parts_of_other_dims_are_not_joined(embedder: Path, tmp_path: Path) -> None:
    write_search_part(tmp_path / "search.onnxpart", DIMS + 1)

    with pytest.raises(ExportError, match=r"embedder\.onnx and search\.onnxpart cannot be joined") as caught:
        write_fused(embedder, tmp_path / "search.onnxpart", tmp_path / "fused.onnx")

    assert not (tmp_path / "fused.onnx").exists()
    assert "pcedge export" in caught.value.hint


def test_the_search_behind_an_embedder_is_a_few_hundred_bytes_that_follow_it(
    embedder: Path, tmp_path: Path
) -> None:
    part = tmp_path / "search.onnxpart"
    part.write_bytes(b"old")

    write_search_part(part, DIMS)
    write_fused(embedder, part, tmp_path / "fused.onnx")

    joined = embedder.read_bytes() + part.read_bytes()
    assert fuse(embedder, part) == joined == (tmp_path / "fused.onnx").read_bytes()
    assert part.stat().st_size < 1000
    graph = onnx.load(tmp_path / "fused.onnx").graph
    assert [value.name for value in graph.input] == ["images", BANK, BANK_SQUARED_NORMS]
    assert [value.name for value in graph.output] == ["embeddings", SQUARED_DISTANCES, ROWS]


@pytest.mark.parametrize("missing", ["embedder.onnx", "search.onnxpart"])
def test_a_missing_half_is_named(embedder: Path, tmp_path: Path, missing: str) -> None:
    shutil.copy(embedder, tmp_path / "embedder.onnx")
    write_search_part(tmp_path / "search.onnxpart", DIMS)
    (tmp_path / missing).unlink()

    with pytest.raises(ExportError, match=re.escape(missing)):
        fuse(tmp_path / "embedder.onnx", tmp_path / "search.onnxpart")


def test_without_onnx_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "onnx", None)

    with pytest.raises(MissingExtraError, match=r"(?s)onnx.*pcedge\[fit\]"):
        write_search(tmp_path / "search.onnx", DIMS)
