"""Configurations for Triton, read by Triton's own schema."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from pcedge.errors import ExportError
from pcedge.export import (
    SCORE,
    Step,
    Tensor,
    check_operators,
    ensemble_config,
    model_config,
    write_bank_search,
)

IMAGES, EMBEDDINGS = Tensor("images", (3, 8, 8)), Tensor("embeddings", (4, 2))
ROWS = Tensor("rows", (4,), "TYPE_INT64")


def _parse(text: str, schema: Any) -> Any:
    return import_module("google.protobuf.text_format").Parse(text, schema.ModelConfig())


def test_a_network_is_batched_and_warmed_up(triton_schema: Any) -> None:
    text = model_config("embedder", "onnxruntime_onnx", [IMAGES], [EMBEDDINGS, ROWS], max_batch=16)

    config = _parse(text, triton_schema)

    assert (config.name, config.platform, config.max_batch_size) == ("embedder", "onnxruntime_onnx", 16)
    assert [(one.name, one.data_type, list(one.dims)) for one in config.input] == [
        ("images", triton_schema.TYPE_FP32, [3, 8, 8])
    ]
    assert [(one.name, one.data_type, list(one.dims)) for one in config.output] == [
        ("embeddings", triton_schema.TYPE_FP32, [4, 2]),
        ("rows", triton_schema.TYPE_INT64, [4]),
    ]
    assert config.HasField("dynamic_batching")
    assert [group.kind for group in config.instance_group] == [triton_schema.ModelInstanceGroup.KIND_AUTO]
    assert [warm.batch_size for warm in config.model_warmup] == [1, 16]
    for warm in config.model_warmup:
        assert list(warm.inputs) == ["images"]
        assert list(warm.inputs["images"].dims) == [3, 8, 8]
        assert warm.inputs["images"].random_data


def test_an_engine_asks_for_a_gpu(triton_schema: Any) -> None:
    config = _parse(
        model_config("embedder", "tensorrt_plan", [IMAGES], [EMBEDDINGS], max_batch=1), triton_schema
    )

    assert config.platform == "tensorrt_plan"
    assert config.instance_group[0].kind == triton_schema.ModelInstanceGroup.KIND_GPU
    assert [warm.batch_size for warm in config.model_warmup] == [1]


@pytest.mark.parametrize("product", ["bottle", 'an "odd" näme\\', "two\nlines"])
def test_models_in_a_row_hand_tensors_on_by_name(triton_schema: Any, product: str) -> None:
    steps = [Step("embedder", ("images",), ("embeddings",)), Step("search", ("embeddings",), ("rows",))]
    text = ensemble_config(
        product, [IMAGES], [ROWS], steps, max_batch=4, parameters={"pcedge": f'{{"product": "{product}"}}'}
    )

    config = _parse(text, triton_schema)

    assert (config.name, config.platform, config.max_batch_size) == (product, "ensemble", 4)
    first, second = config.ensemble_scheduling.step
    assert (first.model_name, dict(first.input_map), dict(first.output_map)) == (
        "embedder", {"images": "images"}, {"embeddings": "embeddings"},
    )  # fmt: skip
    assert (second.model_name, dict(second.input_map), dict(second.output_map)) == (
        "search", {"embeddings": "embeddings"}, {"rows": "rows"},
    )  # fmt: skip
    assert first.model_version == -1
    assert config.parameters["pcedge"].string_value == f'{{"product": "{product}"}}'


def _rows(count: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("bank") / "model.onnx"
    write_bank_search(path, _rows(50, seed=0))
    assert "ReduceMax" in check_operators(path)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def test_the_search_holds_its_bank_and_gives_the_score(search: Any) -> None:
    queries = _rows(3 * 7, seed=1).reshape(3, 7, 6)
    exact = ((queries[:, :, None] - _rows(50, seed=0)) ** 2).sum(axis=3)

    score, distances, rows = search.run([SCORE, "squared_distances", "rows"], {"embeddings": queries})

    assert score.shape == (3, 1)
    np.testing.assert_array_equal(score[:, 0], distances.max(axis=1))
    np.testing.assert_allclose(distances, exact.min(axis=2), rtol=1e-5)
    np.testing.assert_array_equal(rows, exact.argmin(axis=2))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("patch", [0, 3, 6])
def test_a_score_is_no_number_if_any_distance_is_none(search: Any, value: float, patch: int) -> None:
    """The largest of distances with one that is no number may well be a number, and the part OK."""
    queries = _rows(2 * 7, seed=2).reshape(2, 7, 6)
    queries[1, patch, 4] = value

    (score,) = search.run([SCORE], {"embeddings": queries})

    assert np.isfinite(score[0, 0])
    assert not np.isfinite(score[1, 0])


def test_a_bank_that_no_file_can_hold_is_refused(tmp_path: Path) -> None:
    huge = np.broadcast_to(np.zeros(1, np.float32), (2**20, 1024))

    with pytest.raises(ExportError, match=r"1,048,576 rows \(4\.3 GB\) does not fit") as caught:
        write_bank_search(tmp_path / "model.onnx", huge)

    assert "--coreset" in caught.value.hint
    assert list(tmp_path.iterdir()) == []
