"""The bank bound to a device by ONNX Runtime; the processor is the device here, the code is the same."""

import gc
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import faiss
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from pcedge.errors import ExportError, MissingExtraError, RuntimeUnavailableError
from pcedge.export import (
    OnnxRuntime,
    OnnxSearchingRuntime,
    SearchingRuntime,
    TensorrtOptions,
    input_shapes,
    open_session,
    write_onnx,
    write_search_part,
)

_providers = import_module("pcedge.export.runtimes.onnx_session")._providers
DIMS, SIZE, PATCHES = 24, 16, 64


class _Embedder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution = nn.Conv2d(3, DIMS, 3, stride=2, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.convolution(images)).reshape(-1, DIMS, PATCHES).transpose(1, 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("searching")
    write_onnx(_Embedder(), torch.zeros(2, 3, SIZE, SIZE), folder / "embedder.onnx")
    write_search_part(folder / "search.onnxpart", DIMS)
    return folder


@pytest.fixture(scope="module")
def runtime(folder: Path) -> OnnxSearchingRuntime:
    return OnnxSearchingRuntime(folder / "embedder.onnx", folder / "search.onnxpart", "cpu")


def _images(n: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n, 3, SIZE, SIZE)).astype(np.float32)


def _bank(rows: int, seed: int = 1) -> NDArray[np.float32]:
    return np.abs(np.random.default_rng(seed).normal(size=(rows, DIMS))).astype(np.float32)


def _nearest(
    embeddings: NDArray[np.float32], bank: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    index = faiss.IndexFlatL2(DIMS)
    index.add(bank)
    distances, rows = index.search(embeddings.reshape(-1, DIMS), 1)
    return distances.reshape(len(embeddings), -1), rows.reshape(len(embeddings), -1)


def test_it_embeds_like_the_embedder_alone(folder: Path, runtime: OnnxSearchingRuntime) -> None:
    images = _images(3)

    with OnnxRuntime(folder / "embedder.onnx", "cpu") as alone:
        np.testing.assert_array_equal(runtime.infer(images), alone.infer(images))
    assert isinstance(runtime, SearchingRuntime)
    assert not isinstance(alone, SearchingRuntime)
    assert (runtime.name, runtime.on_gpu) == ("onnxruntime (CPU)", False)


@pytest.mark.parametrize("rows", [1, 300])
def test_the_nearest_rows_are_found_at_any_batch_size(runtime: OnnxSearchingRuntime, rows: int) -> None:
    bank = _bank(rows)
    bound = runtime.bind(bank)

    for n in (1, 4, 2):
        images = _images(n, seed=n)
        expected, expected_rows = _nearest(runtime.infer(images), bank)
        distances, found = bound.infer_nearest(images)

        assert [distances.dtype, found.dtype] == [np.dtype(np.float32), np.dtype(np.int64)]
        np.testing.assert_array_equal(found, expected_rows)
        np.testing.assert_allclose(distances, expected, rtol=1e-5)


def test_banks_of_several_products_are_bound_at_a_time_and_none_is_taken_for_another(
    runtime: OnnxSearchingRuntime,
) -> None:
    images, banks = _images(1), [_bank(50, seed=2), _bank(400, seed=3), _bank(50, seed=4)]
    bound = [runtime.bind(bank) for bank in banks]
    embeddings = runtime.infer(images)

    for order in ((0, 1, 2), (2, 0, 1)):
        for i in order:
            distances, rows = bound[i].infer_nearest(images)
            expected, expected_rows = _nearest(embeddings, banks[i])
            np.testing.assert_array_equal(rows, expected_rows)
            np.testing.assert_allclose(distances, expected, rtol=1e-5)


def test_a_bound_bank_outlives_the_rows_it_was_made_of(runtime: OnnxSearchingRuntime) -> None:
    images = _images(1)
    expected, _ = _nearest(runtime.infer(images), _bank(2000))

    bound = runtime.bind(_bank(2000))
    gc.collect()
    spoiled = [np.full((2000, DIMS), 7, np.float32) for _ in range(8)]  # would take freed memory

    np.testing.assert_allclose(bound.infer_nearest(images)[0], expected, rtol=1e-5)
    assert len(spoiled) == 8


def test_results_belong_to_the_caller_and_rows_of_any_layout_will_do(runtime: OnnxSearchingRuntime) -> None:
    bank = _bank(40)
    bound = runtime.bind(np.asfortranarray(bank))
    images = _images(1)

    first, rows = bound.infer_nearest(images)
    kept = first.copy(), rows.copy()
    bound.infer_nearest(_images(1, seed=9))

    np.testing.assert_array_equal(first, kept[0])
    np.testing.assert_array_equal(rows, kept[1])
    np.testing.assert_array_equal(rows, _nearest(runtime.infer(images), bank)[1])


def test_pictures_of_another_size_are_an_error_in_words(runtime: OnnxSearchingRuntime) -> None:
    bound = runtime.bind(_bank(5))

    with pytest.raises(RuntimeUnavailableError, match="could not run the network") as caught:
        bound.infer_nearest(np.zeros((1, 3, SIZE + 1, SIZE), np.float32))

    assert "\n" not in caught.value.what


def _no_room(*_: object) -> None:
    raise RuntimeError("Failed to allocate memory for requested buffer of size 123\nand more")


def test_too_little_memory_for_a_bank_says_how_much_is_needed_and_what_takes_less(
    runtime: OnnxSearchingRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    monkeypatch.setattr(onnxruntime.OrtValue, "ortvalue_from_numpy", _no_room)

    with pytest.raises(RuntimeUnavailableError, match="requested buffer of size 123") as caught:
        runtime.bind(np.zeros((2**20, DIMS), np.float32))

    assert "needs 100 MiB for the bank of 1,048,576 rows" in caught.value.what  # and a norm a row
    assert "and more" not in caught.value.what
    for option in ("--coreset", "--image-size", "--device cpu"):
        assert option in caught.value.hint


def test_too_little_memory_for_a_search_counts_the_patches(
    runtime: OnnxSearchingRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = runtime.bind(_bank(2**13))
    monkeypatch.setattr(bound, "_session", _Full(bound._session))

    with pytest.raises(RuntimeUnavailableError, match="8 MiB to search it for 128 patches at once") as caught:
        bound.infer_nearest(_images(2))

    assert "fewer images a call" in caught.value.hint


class _Full:
    """A session on a device without memory; what it says of itself is the real one's."""

    def __init__(self, session: object) -> None:
        self._session = session
        self.run_with_iobinding = _no_room

    def __getattr__(self, name: str) -> object:
        return getattr(self._session, name)


def _remove(path: Path) -> None:
    path.unlink()


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.parametrize("damage", [_remove, _truncate])
@pytest.mark.parametrize("name", ["embedder.onnx", "search.onnxpart"])
def test_a_damaged_half_is_an_error_that_names_it(
    folder: Path, tmp_path: Path, damage: Callable[[Path], None], name: str
) -> None:
    for file in ("embedder.onnx", "search.onnxpart"):
        (tmp_path / file).write_bytes((folder / file).read_bytes())
    damage(tmp_path / name)

    with pytest.raises(ExportError, match=name) as caught:
        OnnxSearchingRuntime(tmp_path / "embedder.onnx", tmp_path / "search.onnxpart", "cpu")

    assert "pcedge export" in caught.value.hint


@pytest.mark.parametrize(("device", "words"), [("cuda", "no CUDA.*gpu"), ("tensorrt", "no TensorRT.*trt")])
def test_a_build_that_lacks_a_device_names_the_extra(folder: Path, device: str, words: str) -> None:
    name, extra = words.split(".*")

    with pytest.raises(RuntimeUnavailableError, match=name) as caught:
        OnnxRuntime(folder / "embedder.onnx", device)

    assert f"pcedge[{extra}]" in caught.value.hint


@pytest.mark.parametrize(("device", "extra"), [("cpu", "cpu"), ("cuda:1", "gpu"), ("tensorrt", "trt")])
def test_without_onnx_runtime_the_extra_is_the_one_for_the_device(
    folder: Path, monkeypatch: pytest.MonkeyPatch, device: str, extra: str
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    with pytest.raises(MissingExtraError) as caught:
        OnnxRuntime(folder / "embedder.onnx", device)

    assert f"pcedge[{extra}]" in caught.value.hint


def test_a_device_that_is_there_but_does_not_start_is_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a library of TensorRT is missing: ONNX Runtime goes on with the next provider."""
    import onnxruntime

    everything = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: everything)
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda network, options, providers, **_: real(network, options, ["CPUExecutionProvider"]),
    )

    for device, words in (("tensorrt", "LD_LIBRARY_PATH"), ("cuda:1", "driver")):
        with pytest.raises(RuntimeUnavailableError, match="could not start it") as caught:
            open_session(folder / "embedder.onnx", "it", device)
        assert words in caught.value.hint
    assert open_session(folder / "embedder.onnx", "it", "auto").get_providers() == ["CPUExecutionProvider"]


def test_the_tensorrt_provider_is_told_shapes_and_caches_and_no_tf32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    shapes = input_shapes(224, max_batch=8, largest_bank=(1500, 128))
    available = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]

    first, second, third = _providers("tensorrt:1", available, TensorrtOptions(tmp_path / "cache", shapes))

    assert isinstance(first, tuple)
    assert isinstance(second, tuple)
    assert (first[0], second[0], third) == tuple(available)
    options = first[1]
    assert options["device_id"] == second[1]["device_id"] == "1"
    assert second[1]["use_tf32"] == os.environ["NVIDIA_TF32_OVERRIDE"] == "0"
    assert options["trt_engine_cache_path"] == options["trt_timing_cache_path"] == str(tmp_path / "cache")
    assert (tmp_path / "cache").is_dir()
    assert (options["trt_fp16_enable"], options["trt_int8_enable"]) == ("0", "0")
    assert options["trt_profile_min_shapes"] == "images:1x3x224x224,bank:1x128,bank_squared_norms:1"
    assert options["trt_profile_opt_shapes"] == "images:1x3x224x224,bank:1500x128,bank_squared_norms:1500"
    assert options["trt_profile_max_shapes"] == "images:8x3x224x224,bank:1500x128,bank_squared_norms:1500"


def test_the_tensorrt_provider_may_use_half_precision_only_where_the_file_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")

    half = TensorrtOptions(tmp_path, half=True, quantised=True)
    (_, options), _ = _providers("tensorrt", ["TensorrtExecutionProvider", "CPUExecutionProvider"], half)

    assert isinstance(options, dict)
    assert (options["trt_fp16_enable"], options["trt_int8_enable"]) == ("1", "1")
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"
    assert not [name for name in options if "profile" in name]
