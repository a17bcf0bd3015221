"""The bank bound to a GPU by Polygraphy: its own device arrays, over memory of the processor."""

import ctypes
import gc
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.errors import RuntimeUnavailableError
from pcedge.export import (
    EngineInfo,
    SearchingRuntime,
    TensorrtSearchingRuntime,
    engine_name,
    input_shapes,
    is_fused,
    write_engine,
)

pytest.importorskip("polygraphy")

DIMS, PATCHES, LARGEST = 2, 4, 6


class _HostMemory:
    """The CUDA calls that Polygraphy makes, on memory of the processor."""

    def __init__(self) -> None:
        self.held: dict[int, Any] = {}
        self.largest = 2**20
        self.copied = 0

    def malloc(self, nbytes: int) -> int:
        if nbytes > self.largest:
            raise RuntimeError("CUDA Error: 2. out of memory\nand more")
        buffer = ctypes.create_string_buffer(nbytes)
        self.held[ctypes.addressof(buffer)] = buffer
        return ctypes.addressof(buffer)

    def free(self, ptr: int) -> None:
        if ptr:
            del self.held[ptr]

    def memcpy(self, dst: int, src: int, nbytes: int, kind: object, stream_ptr: object) -> None:
        self.copied += nbytes
        ctypes.memmove(dst, src, nbytes)


class _Runner:
    """As Polygraphy's, it takes arrays and views of device memory, and gives views where told to."""

    def __init__(self, plan: bytes) -> None:
        self.active = False

    def activate(self) -> None:
        self.active = True

    def deactivate(self) -> None:
        self.active = False

    def infer(self, feed: dict[str, Any], copy_outputs_to_host: bool = True) -> dict[str, Any]:
        from polygraphy.cuda import DeviceArray

        images: NDArray[np.float32] = feed["images"]
        bank, norms = (_on_host(feed[name]) for name in ("bank", "bank_squared_norms"))
        embeddings = images.reshape(len(images), PATCHES, DIMS)
        order = norms - 2 * embeddings @ bank.T
        rows = order.argmin(axis=2)
        distances = ((embeddings - bank[rows]) ** 2).sum(axis=2)
        # TensorRT 8.6 has no int64.
        outputs = {"embeddings": embeddings, "squared_distances": distances, "rows": rows.astype(np.int32)}
        if copy_outputs_to_host:
            return outputs
        return {
            name: DeviceArray(values.shape, values.dtype).copy_from(np.ascontiguousarray(values))
            for name, values in outputs.items()
        }


def _on_host(value: Any) -> NDArray[np.float32]:
    array: NDArray[np.float32] = value if isinstance(value, np.ndarray) else value.numpy()
    return array


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> _HostMemory:
    import polygraphy.backend.trt
    from polygraphy.cuda import cuda

    memory = _HostMemory()
    tensorrt = ModuleType("tensorrt")
    vars(tensorrt).update(__version__="8.6.1", Builder=object)
    monkeypatch.setitem(sys.modules, "tensorrt", tensorrt)
    monkeypatch.setattr(cuda, "wrapper", lambda: memory)
    backend = SimpleNamespace(TrtRunner=_Runner, EngineFromBytes=lambda plan: plan)
    monkeypatch.setattr(polygraphy.backend, "trt", backend)
    monkeypatch.setattr("pcedge.export.engines.tensorrt_runtime.require_this_machine", lambda *_: None)
    return memory


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    inputs = input_shapes(2, max_batch=3, largest_bank=(LARGEST, DIMS))
    inputs["images"] = ((1, PATCHES * DIMS), (1, PATCHES * DIMS), (3, PATCHES * DIMS))
    info = EngineInfo(
        gpu="Orin",
        tensorrt="8.6.1",
        source="embedder.fused.onnx",
        source_sha256="0" * 64,
        inputs=inputs,
        device_memory_bytes=3 * 2**20,
        built="2025-01-01T00:00:00+00:00",
    )
    write_engine(tmp_path / "e.engine", info, b"plan")
    return tmp_path / "e.engine"


def _values(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_the_nearest_rows_are_found_with_a_bank_that_is_copied_once(
    engine: Path, memory: _HostMemory
) -> None:
    bank, images = _values(5, DIMS), _values(2, PATCHES * DIMS, seed=1)
    embeddings = images.reshape(2, PATCHES, DIMS)
    exact = ((embeddings[:, :, None] - bank) ** 2).sum(axis=3)

    with TensorrtSearchingRuntime(engine) as runtime:
        np.testing.assert_array_equal(runtime.infer(images), embeddings)
        bound = runtime.bind(bank)
        copied = memory.copied
        distances, rows = bound.infer_nearest(images)

    assert copied == bank.nbytes + 5 * 4
    np.testing.assert_array_equal(rows, exact.argmin(axis=2))
    np.testing.assert_allclose(distances, exact.min(axis=2), rtol=1e-5)
    assert [distances.dtype, rows.dtype] == [np.dtype(np.float32), np.dtype(np.int64)]
    assert isinstance(runtime, SearchingRuntime)


def test_a_bank_is_freed_with_the_last_who_refers_to_it(engine: Path, memory: _HostMemory) -> None:
    with TensorrtSearchingRuntime(engine) as runtime:
        first, second = runtime.bind(_values(5, DIMS)), runtime.bind(_values(2, DIMS))
        assert len(memory.held) == 4
        del first
        gc.collect()
        assert len(memory.held) == 2
        second.infer_nearest(_values(1, PATCHES * DIMS))


def test_a_bank_the_engine_was_not_built_for_is_refused(engine: Path, memory: _HostMemory) -> None:
    with TensorrtSearchingRuntime(engine) as runtime:
        for bank in (_values(LARGEST + 1, DIMS), _values(2, DIMS + 1)):
            with pytest.raises(
                RuntimeUnavailableError, match="banks of at most 6 rows of 2 values"
            ) as caught:
                runtime.bind(bank)
            assert "pcedge export --trt" in caught.value.hint
    assert memory.held == {}


def test_too_little_memory_for_a_bank_says_what_is_needed_and_frees_what_was_taken(
    engine: Path, memory: _HostMemory
) -> None:
    memory.largest = 20

    with TensorrtSearchingRuntime(engine) as runtime:
        with pytest.raises(RuntimeUnavailableError, match="out of memory") as caught:
            runtime.bind(_values(5, DIMS))
        assert "MiB for the bank of 5 rows" in caught.value.what
        assert "and more" not in caught.value.what
        assert "--coreset" in caught.value.hint
        del caught
        gc.collect()
        assert memory.held == {}


def test_more_images_than_the_engine_takes_are_refused(engine: Path, memory: _HostMemory) -> None:
    with (
        TensorrtSearchingRuntime(engine) as runtime,
        pytest.raises(RuntimeUnavailableError, match="at most 3 images"),
    ):
        runtime.bind(_values(2, DIMS)).infer_nearest(_values(4, PATCHES * DIMS))


def test_an_engine_with_the_search_in_it_has_a_name_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("polygraphy_backend", None),
        ("tensorrt_gpu", "Orin"),
        ("tensorrt_version", "10.3.0"),
    ):
        monkeypatch.setattr(f"pcedge.export.engines.engine_file.{name}", lambda value=value: value)
    embedder, part, joined = (tmp_path / name for name in ("embedder.onnx", "part", "embedder.fused.onnx"))
    embedder.write_bytes(b"network ")
    part.write_bytes(b"search")
    joined.write_bytes(b"network search")

    name = engine_name(embedder, part)

    assert name == engine_name(joined)  # that of the file it is built from
    assert name.startswith("embedder.fused.orin.trt10.3.0.")
    assert is_fused(name)
    assert not is_fused(engine_name(embedder))
