import ctypes
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.errors import ExportError, RuntimeUnavailableError
from pcedge.export import TensorrtRuntime, build_engine, engine_name

pytest.importorskip("polygraphy")


class _Driver:
    """libcuda with one GPU, as far as its name goes."""

    def __init__(self, name: str, *, error: int = 0) -> None:
        self._name, self._error = name.encode(), error

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return self._error

    def cuDeviceGet(self, device: Any, number: int) -> int:  # noqa: N802
        return self._error

    def cuDeviceGetName(self, buffer: Any, size: int, device: Any) -> int:  # noqa: N802
        buffer.value = self._name[: size - 1]
        return 0


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretend to have a TensorRT version and a GPU; the real Polygraphy stays."""

    def pretend(version: str | None = "10.3.0", gpu: str | None = "Orin", error: int = 0) -> None:
        tensorrt = None if version is None else ModuleType("tensorrt")
        if tensorrt is not None:
            vars(tensorrt).update(__version__=version, Builder=object)
        monkeypatch.setitem(sys.modules, "tensorrt", tensorrt)
        monkeypatch.setattr(ctypes, "CDLL", lambda name: _open(name, gpu, error))

    return pretend


def _open(name: str, gpu: str | None, error: int) -> _Driver:
    assert name == "libcuda.so.1"
    if gpu is None:
        raise OSError(f"{name}: cannot open shared object file")
    return _Driver(gpu, error=error)


def _build(folder: Path) -> None:
    build_engine(folder / "embedder.onnx", folder / "e.engine", image_size=224)


def _load(folder: Path) -> None:
    (folder / "e.engine").write_bytes(b"engine")
    TensorrtRuntime(folder / "e.engine")


def _name(folder: Path) -> None:
    engine_name()


@pytest.mark.parametrize("use", [_name, _build, _load])
def test_without_tensorrt_the_error_says_what_to_run_on_the_device(
    tmp_path: Path, machine: Callable[..., None], use: Callable[[Path], None]
) -> None:
    machine(version=None)

    with pytest.raises(RuntimeUnavailableError, match="tensorrt is missing") as caught:
        use(tmp_path)

    assert "pip install 'pcedge[trt]'" in caught.value.hint
    assert "pcedge export --trt" in caught.value.hint


@pytest.mark.parametrize("use", [_name, _build, _load])
def test_the_package_of_type_stubs_is_not_taken_for_tensorrt(
    tmp_path: Path,
    machine: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    use: Callable[[Path], None],
) -> None:
    machine()
    monkeypatch.setitem(sys.modules, "tensorrt", ModuleType("tensorrt"))

    with pytest.raises(RuntimeUnavailableError, match="its library is missing"):
        use(tmp_path)


@pytest.mark.parametrize(
    ("pretence", "reason"),
    [
        ({"gpu": None}, "no NVIDIA driver"),
        ({"error": 100}, "No NVIDIA GPU can be used \\(error 100\\)"),
    ],
)
@pytest.mark.parametrize("use", [_name, _build])
def test_without_a_gpu_the_error_says_so(
    tmp_path: Path,
    machine: Callable[..., None],
    use: Callable[[Path], None],
    pretence: dict[str, Any],
    reason: str,
) -> None:
    machine(**pretence)

    with pytest.raises(RuntimeUnavailableError, match=reason):
        use(tmp_path)


@pytest.mark.parametrize(
    ("version", "gpu", "expected"),
    [
        ("10.3.0", "Orin", "embedder.orin.trt10.3.0.engine"),
        (
            "8.6.1.post1",
            "NVIDIA GeForce RTX 3060 (Laptop)",
            "embedder.nvidia-geforce-rtx-3060-laptop.trt8.6.1.post1.engine",
        ),
        ("10.3.0", "../../etc", "embedder...-..-etc.trt10.3.0.engine"),
    ],
)
def test_an_engine_is_named_for_its_gpu_and_tensorrt_version(
    machine: Callable[..., None], version: str, gpu: str, expected: str
) -> None:
    machine(version, gpu)

    assert engine_name() == expected
    assert "/" not in expected


def test_polygraphy_takes_our_arguments_and_a_failed_build_is_explained(
    tmp_path: Path, machine: Callable[..., None]
) -> None:
    machine()

    # A wrong argument would be a TypeError; what fails is TensorRT itself, which is not there.
    with pytest.raises(ExportError, match=r"TensorRT 10\.3\.0 could not build .*embedder\.onnx"):
        _build(tmp_path)
    with pytest.raises(ExportError, match=r"e\.engine cannot be loaded by TensorRT 10\.3\.0"):
        _load(tmp_path)


def test_the_methods_we_call_exist_in_polygraphy_with_our_arguments() -> None:
    from polygraphy.backend import trt

    def parameters(kind: type) -> set[str]:
        return {name for base in kind.__mro__ for name in inspect.signature(base).parameters}

    assert {"profiles", "tf32"} <= parameters(trt.CreateConfig)
    shape = (1, 3, 224, 224)
    profile = trt.Profile().add("images", min=shape, opt=shape, max=(8, 3, 224, 224))
    assert profile["images"].max == (8, 3, 224, 224)
    assert trt.CreateConfig(profiles=[profile], tf32=False).tf32 is False
    inspect.signature(trt.NetworkFromOnnxPath).bind("embedder.onnx")
    inspect.signature(trt.EngineFromNetwork).bind(object(), object())
    inspect.signature(trt.EngineFromBytes).bind(b"")
    inspect.signature(trt.TrtRunner).bind(object())
    inspect.signature(trt.TrtRunner.infer).bind(object(), {})
    inspect.signature(trt.TrtRunner.activate).bind(object())
    inspect.signature(trt.TrtRunner.deactivate).bind(object())


class _ReusingRunner:
    """Like Polygraphy's runner, it hands out one buffer again and again."""

    def __init__(self, engine: object) -> None:
        self.calls: list[str] = []
        self._buffer = np.zeros((1, 4, 2), np.float32)

    def activate(self) -> None:
        self.calls.append("activate")

    def deactivate(self) -> None:
        self.calls.append("deactivate")

    def infer(self, feed: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        self._buffer[:] = feed["images"].mean()
        return {"embeddings": self._buffer}


def test_results_belong_to_the_caller_and_the_runner_is_released(
    tmp_path: Path, machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    import polygraphy.backend.trt

    runners: list[_ReusingRunner] = []

    def open_runner(engine: object) -> _ReusingRunner:
        runners.append(_ReusingRunner(engine))
        return runners[-1]

    machine()
    backend = SimpleNamespace(TrtRunner=open_runner, EngineFromBytes=lambda content: content)
    monkeypatch.setattr(polygraphy.backend, "trt", backend)
    (tmp_path / "e.engine").write_bytes(b"engine")

    with TensorrtRuntime(tmp_path / "e.engine") as runtime:
        first = runtime.infer(np.full((1, 3, 2, 2), 1, np.float32))
        second = runtime.infer(np.full((1, 3, 2, 2), 2, np.float32))
        assert runtime.name == "tensorrt 10.3.0"

    assert (first == 1).all()
    assert (second == 2).all()
    assert runners[0].calls == ["activate", "deactivate"]
