import ctypes
import inspect
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.errors import ExportError, RuntimeUnavailableError
from pcedge.export import (
    BANK,
    BANK_SQUARED_NORMS,
    EngineInfo,
    TensorrtRuntime,
    build_engine,
    engine_name,
    read_engine,
    timing_cache_name,
    write_engine,
)

pytest.importorskip("polygraphy")

PLAN = b"plan\nof many\nlines"


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
            vars(tensorrt).update(
                __version__=version,
                Builder=object,
                MemoryPoolType=SimpleNamespace(WORKSPACE="workspace"),
                DataType=SimpleNamespace(FLOAT="float", HALF="half"),
                LayerType=SimpleNamespace(QUANTIZE="quantize"),
            )
        monkeypatch.setitem(sys.modules, "tensorrt", tensorrt)
        monkeypatch.setattr(ctypes, "CDLL", lambda name: _open(name, gpu, error))

    return pretend


def _open(name: str, gpu: str | None, error: int) -> _Driver:
    assert name == "libcuda.so.1"
    if gpu is None:
        raise OSError(f"{name}: cannot open shared object file")
    return _Driver(gpu, error=error)


def _info(**changes: Any) -> EngineInfo:
    info = EngineInfo(
        gpu="Orin",
        tensorrt="10.3.0",
        source="embedder.onnx",
        source_sha256="0" * 64,
        inputs={"images": ((1, 3, 2, 2), (1, 3, 2, 2), (8, 3, 2, 2))},
        device_memory_bytes=3 * 2**20,
        built="2025-01-01T00:00:00+00:00",
    )
    return msgspec.structs.replace(info, **changes)


def _engine(folder: Path, **changes: Any) -> Path:
    write_engine(folder / "e.engine", _info(**changes), PLAN)
    return folder / "e.engine"


def _build(folder: Path, **options: Any) -> EngineInfo:
    (folder / "embedder.onnx").write_bytes(b"network")
    return build_engine(folder / "embedder.onnx", folder / "e.engine", image_size=224, **options)


def _load(folder: Path) -> None:
    TensorrtRuntime(_engine(folder))


def _name(folder: Path) -> None:
    engine_name()


def _cache_name(folder: Path) -> None:
    timing_cache_name()


USES = [_name, _cache_name, _build, _load]


@pytest.mark.parametrize("use", USES)
def test_without_tensorrt_the_error_says_what_to_run_on_the_device(
    tmp_path: Path, machine: Callable[..., None], use: Callable[[Path], None]
) -> None:
    machine(version=None)

    with pytest.raises(RuntimeUnavailableError, match="tensorrt is missing") as caught:
        use(tmp_path)

    assert "pip install 'pcedge[trt]'" in caught.value.hint
    assert "pcedge export --trt" in caught.value.hint


@pytest.mark.parametrize("use", USES)
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


@pytest.mark.parametrize("pretence", [{"gpu": None}, {"error": 100}])
@pytest.mark.parametrize("use", USES)
def test_without_a_gpu_the_error_says_so(
    tmp_path: Path,
    machine: Callable[..., None],
    use: Callable[[Path], None],
    pretence: dict[str, Any],
) -> None:
    machine(**pretence)

    with pytest.raises(RuntimeUnavailableError, match="no NVIDIA GPU that can be used"):
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
    assert timing_cache_name() == expected.removeprefix("embedder.").replace(".engine", ".timing")


def test_an_engine_is_named_for_its_source(tmp_path: Path, machine: Callable[..., None]) -> None:
    machine()
    source = tmp_path / "embedder.fp16.onnx"
    source.write_bytes(b"one")
    first = engine_name(source)
    source.write_bytes(b"another")

    assert first == f"embedder.fp16.orin.trt10.3.0.{sha256(b'one').hexdigest()[:12]}.engine"
    assert engine_name(source) != first
    with pytest.raises(ExportError, match=r"absent\.onnx cannot be read"):
        engine_name(tmp_path / "absent.onnx")


def test_polygraphy_takes_our_arguments_and_a_failed_build_is_explained(
    tmp_path: Path, machine: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    machine()

    # A wrong argument would be a TypeError; what fails is TensorRT itself, which is not there.
    with pytest.raises(ExportError, match=r"TensorRT 10\.3\.0 could not build .*embedder\.onnx"):
        _build(tmp_path, workspace_bytes=2**30, timing_cache=tmp_path / "cache" / "orin.timing")
    with pytest.raises(ExportError, match=r"e\.engine cannot be loaded by TensorRT 10\.3\.0") as caught:
        _load(tmp_path)

    assert "needs 3 MiB of device memory" in caught.value.what
    assert "pcedge export --trt" in caught.value.hint
    assert capsys.readouterr().out == ""


def test_the_methods_we_call_exist_in_polygraphy_with_our_arguments() -> None:
    from polygraphy.backend import trt

    def parameters(kind: type) -> set[str]:
        return {name for base in kind.__mro__ for name in inspect.signature(base).parameters}

    options = {"profiles", "tf32", "fp16", "int8", "memory_pool_limits", "load_timing_cache"}
    assert options <= parameters(trt.CreateConfig)
    shape = (1, 3, 224, 224)
    profile = trt.Profile().add("images", min=shape, opt=shape, max=(8, 3, 224, 224))
    assert profile["images"].max == (8, 3, 224, 224)
    assert trt.CreateConfig(profiles=[profile], tf32=False).tf32 is False
    inspect.signature(trt.NetworkFromOnnxPath).bind("embedder.onnx", strongly_typed=True)
    inspect.signature(trt.EngineFromNetwork).bind(object(), object(), save_timing_cache="cache")
    inspect.signature(trt.EngineFromBytes).bind(b"")
    inspect.signature(trt.TrtRunner).bind(object())
    inspect.signature(trt.TrtRunner.infer).bind(object(), {})
    inspect.signature(trt.TrtRunner.activate).bind(object())
    inspect.signature(trt.TrtRunner.deactivate).bind(object())


class _Layer:
    """A layer of a parsed network, as far as its types go."""

    def __init__(self, kind: str, output: str) -> None:
        self.type, self.num_outputs, self._output = kind, 1, output

    def get_output_type(self, index: int) -> str:
        return self._output


class _Network:
    def __init__(self, layers: list[_Layer]) -> None:
        self._layers, self.num_layers = layers, len(layers)

    def get_layer(self, index: int) -> _Layer:
        return self._layers[index]


class _Profile(dict[str, tuple[tuple[int, ...], ...]]):
    def add(self, name: str, min: Any, opt: Any, max: Any) -> "_Profile":
        self[name] = (min, opt, max)
        return self


class _Backend:
    """Polygraphy's loaders over a network that is already parsed; remembers what it was asked for."""

    Profile = _Profile

    def __init__(self, layers: list[_Layer], engine: object) -> None:
        self._layers, self._engine = layers, engine
        self.config: dict[str, Any] = {}
        self.strongly_typed: bool | None = None
        self.saved: str | None = None

    def NetworkFromOnnxPath(self, path: str, strongly_typed: bool) -> Callable[[], Any]:  # noqa: N802
        assert Path(path).read_bytes() == b"network"
        self.strongly_typed = strongly_typed
        return lambda: (object(), _Network(self._layers), object())

    def CreateConfig(self, **options: Any) -> object:  # noqa: N802
        self.config = options
        return object()

    def EngineFromNetwork(  # noqa: N802
        self, network: Any, config: object, save_timing_cache: str | None
    ) -> Callable[[], object]:
        assert callable(network) or len(network) == 3
        self.saved = save_timing_cache
        print("as Polygraphy does")
        return lambda: self._engine


CONVOLUTION, HALF = _Layer("convolution", "float"), _Layer("convolution", "half")
QUANTISE = _Layer("quantize", "float")


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Callable[..., _Backend]:
    def pretend(layers: list[_Layer], **engine: Any) -> _Backend:
        import polygraphy.backend.trt

        made = SimpleNamespace(serialize=lambda: memoryview(PLAN), **engine)
        stand_in = _Backend(layers, made)
        monkeypatch.setattr(polygraphy.backend, "trt", stand_in)
        return stand_in

    return pretend


@pytest.mark.parametrize("layers", [[CONVOLUTION], [HALF], [QUANTISE]])
@pytest.mark.parametrize("version", ["10.0.1", "10.13.0.35", "11.4.1"])
def test_from_tensorrt_10_on_the_file_alone_says_the_precision(
    tmp_path: Path,
    machine: Callable[..., None],
    backend: Callable[..., _Backend],
    version: str,
    layers: list[_Layer],
) -> None:
    machine(version)
    stand_in = backend(layers)

    _build(tmp_path)

    assert stand_in.strongly_typed is True
    assert stand_in.config["tf32"] is False
    assert not {"fp16", "int8"} & set(stand_in.config)


@pytest.mark.parametrize(
    ("layers", "fp16", "int8"),
    [
        ([CONVOLUTION], False, False),
        ([CONVOLUTION, HALF], True, False),
        ([QUANTISE, CONVOLUTION], False, True),
    ],
)
def test_tensorrt_8_6_is_told_the_types_that_the_file_uses(
    tmp_path: Path,
    machine: Callable[..., None],
    backend: Callable[..., _Backend],
    layers: list[_Layer],
    fp16: bool,
    int8: bool,
) -> None:
    machine("8.6.1.post1")
    stand_in = backend(layers)

    _build(tmp_path)

    assert stand_in.strongly_typed is False
    assert (stand_in.config["fp16"], stand_in.config["int8"]) == (fp16, int8)


def test_tensorrt_8_6_is_not_trusted_with_distances_in_half_precision(
    tmp_path: Path, machine: Callable[..., None], backend: Callable[..., _Backend]
) -> None:
    machine("8.6.1.post1")
    backend([CONVOLUTION, HALF])

    with pytest.raises(RuntimeUnavailableError, match=r"TensorRT 8\.6.*half precision") as caught:
        _build(tmp_path, largest_bank=(1000, 384))

    assert "TensorRT 10" in caught.value.hint


def test_an_engine_is_built_for_the_shapes_and_the_memory_asked_for(
    tmp_path: Path,
    machine: Callable[..., None],
    backend: Callable[..., _Backend],
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine()
    stand_in = backend([CONVOLUTION], device_memory_size=100, device_memory_size_v2=200)
    cache = tmp_path / "cache" / "orin.timing"

    info = _build(
        tmp_path,
        max_batch=32,
        usual_batch=16,
        largest_bank=(15000, 1024),
        workspace_bytes=2**30,
        timing_cache=cache,
    )

    image = (3, 224, 224)
    expected = {
        "images": ((1, *image), (16, *image), (32, *image)),
        BANK: ((1, 1024), (15000, 1024), (15000, 1024)),
        BANK_SQUARED_NORMS: ((1,), (15000,), (15000,)),
    }
    assert stand_in.config["profiles"] == [expected]
    assert stand_in.config["memory_pool_limits"] == {"workspace": 2**30}
    assert stand_in.config["load_timing_cache"] == stand_in.saved == str(cache)
    assert cache.parent.is_dir()
    assert info.inputs == expected
    assert info.device_memory_bytes == 200
    assert capsys.readouterr().out == ""


def test_an_engine_file_says_what_it_was_built_from(
    tmp_path: Path, machine: Callable[..., None], backend: Callable[..., _Backend]
) -> None:
    machine()
    stand_in = backend([CONVOLUTION], device_memory_size=100)
    kept = tmp_path / "kept.engine"
    kept.write_bytes(b"in use")
    (tmp_path / "e.engine").hardlink_to(kept)

    built = _build(tmp_path)

    info, plan = read_engine(tmp_path / "e.engine")
    assert info == built
    assert plan == PLAN
    assert (info.gpu, info.tensorrt, info.source) == ("Orin", "10.3.0", "embedder.onnx")
    assert info.source_sha256 == sha256(b"network").hexdigest()
    assert info.device_memory_bytes == 100
    assert stand_in.config["memory_pool_limits"] is stand_in.config["load_timing_cache"] is None
    assert kept.read_bytes() == b"in use"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not an engine that this version"),
        (PLAN, "not an engine that this version"),
        (b"pcedge engine 1\n{}", "not an engine that this version"),
        (b"pcedge engine 1\n{}\nplan", "header of e.engine cannot be read"),
        (b"pcedge engine 1\n\xff\xfe\nplan", "header of e.engine cannot be read"),
        (None, "e.engine cannot be read"),
    ],
)
def test_a_file_that_is_no_engine_is_an_error_that_says_what_to_do(
    tmp_path: Path, machine: Callable[..., None], content: bytes | None, reason: str
) -> None:
    machine()
    if content is not None:
        (tmp_path / "e.engine").write_bytes(content)

    with pytest.raises(ExportError, match=reason) as caught:
        TensorrtRuntime(tmp_path / "e.engine")

    assert "pcedge export --trt" in caught.value.hint


@pytest.mark.parametrize("other", [{"gpu": "Xavier"}, {"tensorrt": "8.6.1"}])
def test_an_engine_of_another_machine_is_refused_by_name(
    tmp_path: Path, machine: Callable[..., None], other: dict[str, str]
) -> None:
    machine()

    with pytest.raises(ExportError, match=next(iter(other.values()))) as caught:
        TensorrtRuntime(_engine(tmp_path, **other))

    assert "this machine has Orin and TensorRT 10.3.0" in caught.value.what


class _ReusingRunner:
    """Like Polygraphy's runner, it hands out one buffer again and again."""

    def __init__(self, engine: object) -> None:
        assert engine == PLAN
        self.calls: list[str] = []
        self._buffer = np.zeros((1, 4, 2), np.float32)

    def activate(self) -> None:
        self.calls.append("activate")

    def deactivate(self) -> None:
        self.calls.append("deactivate")

    def infer(self, feed: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        self.calls.append(f"infer {feed['images'].shape}")
        self._buffer[:] = feed["images"].mean()
        return {"embeddings": self._buffer}


class _FailingRunner(_ReusingRunner):
    def infer(self, feed: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        raise RuntimeError("CUDA out of memory\nand much more")


@pytest.fixture
def runners(machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> list[_ReusingRunner]:
    """The runners that are opened from now on."""
    return _opened(_ReusingRunner, machine, monkeypatch)


def _opened(
    kind: type[_ReusingRunner], machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> list[_ReusingRunner]:
    import polygraphy.backend.trt

    opened: list[_ReusingRunner] = []

    def open_runner(engine: object) -> _ReusingRunner:
        opened.append(kind(engine))
        return opened[-1]

    machine()
    backend = SimpleNamespace(TrtRunner=open_runner, EngineFromBytes=lambda content: content)
    monkeypatch.setattr(polygraphy.backend, "trt", backend)
    return opened


def test_results_belong_to_the_caller_and_the_runner_is_released(
    tmp_path: Path, runners: list[_ReusingRunner]
) -> None:
    with TensorrtRuntime(_engine(tmp_path)) as runtime:
        first = runtime.infer(np.full((1, 3, 2, 2), 1, np.float32))
        second = runtime.infer(np.full((1, 3, 2, 2), 2, np.float32))
        assert runtime.name == "tensorrt 10.3.0"

    assert (first == 1).all()
    assert (second == 2).all()
    assert runners[0].calls[0] == "activate"
    assert runners[0].calls[-1] == "deactivate"


def test_the_slow_first_run_is_done_on_opening(tmp_path: Path, runners: list[_ReusingRunner]) -> None:
    TensorrtRuntime(_engine(tmp_path))

    assert runners[0].calls == ["activate", "infer (1, 3, 2, 2)"]


def test_more_images_than_an_engine_was_built_for_are_an_error(
    tmp_path: Path, runners: list[_ReusingRunner]
) -> None:
    with (
        TensorrtRuntime(_engine(tmp_path)) as runtime,
        pytest.raises(RuntimeUnavailableError, match="at most 8 images a call, not 9") as caught,
    ):
        runtime.infer(np.zeros((9, 3, 2, 2), np.float32))

    assert "--batch 9" in caught.value.hint


def test_too_little_memory_is_said_on_opening_and_the_engine_is_released(
    tmp_path: Path, machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    runners = _opened(_FailingRunner, machine, monkeypatch)

    with pytest.raises(RuntimeUnavailableError, match="CUDA out of memory") as caught:
        TensorrtRuntime(_engine(tmp_path))

    assert "needs 3 MiB of device memory" in caught.value.what
    assert "much more" not in caught.value.what
    assert runners[0].calls == ["activate", "deactivate"]
