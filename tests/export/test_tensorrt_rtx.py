"""NVIDIA's own parser and builder, without a GPU: small networks of every kind that export writes.

The table of the real networks: ``python -m benchmarks.tensorrt_rtx``.
"""

import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pcedge.errors import ExportError, OptionError, RuntimeUnavailableError
from pcedge.export import (
    TENSORRT_RTX,
    EngineInfo,
    TensorrtRuntime,
    TensorrtSearchingRuntime,
    build_by_rtx,
    build_rtx_engine,
    check_capabilities,
    compute_capability,
    input_shapes,
    is_fused,
    is_rtx_engine,
    is_rtx_engine_of,
    parse_by_rtx,
    read_engine,
    rtx_engine_name,
    rtx_version,
    write_bank_search,
    write_engine,
    write_fp16,
    write_fused,
    write_gaussian_distances,
    write_int8,
    write_onnx,
    write_search_part,
)
from pcedge.methods.ae.networks.network import AeCore
from pcedge.methods.gan.networks.network import GanCore
from pcedge.networks.patch_embedding import PatchEmbedder

rtx = pytest.importorskip(
    "tensorrt_rtx", reason="TensorRT for RTX is not here (x86-64 Linux: pcedge[trt-rtx])"
)

COMPUTE = ("7.5", "8.6", "8.9", "12.0")
SIZE, ROWS = 64, 50


class _Layers(nn.Module):
    """Two maps, as a backbone gives them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(3, 16, 3, 4, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        self.second = nn.Sequential(nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU())

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        first = self.first(images)
        return first, self.second(first)


class _Tokens(nn.Module):
    """A transformer's block, as CLIP and DINOv2 have them: convolution, positions, attention, GELU."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.norm = nn.Conv2d(3, 32, 8, 8), nn.LayerNorm(32)
        self.qkv, self.out = nn.Linear(32, 96), nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32))
        self.positions = nn.Parameter(torch.zeros(1, 64, 32))

    def forward(self, images: Tensor) -> Tensor:
        tokens: Tensor = self.patches(images).flatten(2).transpose(1, 2) + self.positions
        heads = self.qkv(self.norm(tokens)).reshape(-1, 64, 3, 4, 8).permute(2, 0, 3, 1, 4)
        query, key, value = heads[0], heads[1], heads[2]
        weights = (query @ key.transpose(-2, -1) * 8**-0.5).softmax(dim=-1)
        out: Tensor = self.out((weights @ value).transpose(1, 2).reshape(-1, 64, 32))
        return tokens + out


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every kind of graph that export writes, small."""
    folder = tmp_path_factory.mktemp("graphs")
    torch.manual_seed(0)
    found: dict[str, Path] = {}

    def write(name: str, module: nn.Module) -> Path:
        found[name] = folder / f"{name}.onnx"
        write_onnx(module.eval(), torch.zeros(2, 3, SIZE, SIZE), found[name])
        return found[name]

    shapes = [(16, 8, 8), (32, 4, 4)]
    plain = write("mean", PatchEmbedder(_Layers(), shapes, None))
    write("reference", PatchEmbedder(_Layers(), shapes, 64))
    write("transformer", _Tokens())
    write("ae", AeCore(16, SIZE, "ssim"))
    write("gan", GanCore(16, SIZE))
    rng = np.random.default_rng(0)
    images = [rng.normal(size=(1, 3, SIZE, SIZE)).astype(np.float32) for _ in range(2)]
    for precision in ("fp16", "int8", "int8-cpu"):
        found[precision] = folder / f"{precision}.onnx"
    write_fp16(plain, found["fp16"])
    write_int8(plain, found["int8"], images, kind="tensorrt")
    write_int8(plain, found["int8-cpu"], images, kind="cpu")
    write_fp16(found["transformer"], folder / "transformer-fp16.onnx")
    found["transformer-fp16"] = folder / "transformer-fp16.onnx"
    found["part"] = folder / "search.onnxpart"
    write_search_part(found["part"], 48)
    for name in ("mean", "fp16", "int8"):
        found[f"{name}-fused"] = folder / f"{name}.fused.onnx"
        write_fused(found[name], found["part"], found[f"{name}-fused"])
    found["bank"] = folder / "bank.onnx"
    write_bank_search(found["bank"], rng.normal(size=(ROWS, 48)).astype(np.float32))
    whitening = folder / "whitening.npy"
    np.save(whitening, np.broadcast_to(np.eye(48, dtype=np.float32), (64, 48, 48)))
    found["padim"] = folder / "padim.onnx"
    write_gaussian_distances(plain, np.zeros((64, 48), np.float32), whitening, found["padim"])
    return found


def _inputs(name: str) -> dict[str, Any]:
    if name == "bank":
        return {"embeddings": ((1, 64, 48), (1, 64, 48), (8, 64, 48))}
    return dict(input_shapes(SIZE, largest_bank=(ROWS, 48) if name.endswith("fused") else None))


CONVOLUTIONAL = ("mean", "reference", "fp16", "int8", "gan")
PRODUCTS = ("mean-fused", "fp16-fused", "int8-fused", "transformer", "bank", "padim")


@pytest.mark.parametrize("name", [*CONVOLUTIONAL, *PRODUCTS, "ae", "transformer-fp16"])
def test_the_parser_takes_every_graph_and_the_builder_builds_it(graphs: dict[str, Path], name: str) -> None:
    parsed = parse_by_rtx(graphs[name])

    assert parsed.layers > 3
    assert parsed.warnings == ()
    plan = build_by_rtx(graphs[name], _inputs(name), COMPUTE[1:])
    assert plan.layers == parsed.layers
    assert plan.warnings == ()
    assert len(plan.content) > 1000


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_turing_runs_convolutions(graphs: dict[str, Path], name: str) -> None:
    assert build_by_rtx(graphs[name], _inputs(name), COMPUTE[:1]).content


@pytest.mark.parametrize("name", PRODUCTS)
def test_turing_has_no_float32_products_and_the_error_says_what_to_do(
    graphs: dict[str, Path], name: str
) -> None:
    with pytest.raises(ExportError, match="FP32 GEMM is not supported") as caught:
        build_by_rtx(graphs[name], _inputs(name), COMPUTE)

    assert "leave 7.5 out" in caught.value.hint


def test_int8_for_processors_is_refused_by_the_node_s_name(graphs: dict[str, Path]) -> None:
    with pytest.raises(ExportError, match=r"QuantizeLinear \(node '.+'\).*zero point") as caught:
        parse_by_rtx(graphs["int8-cpu"])

    assert "pcedge export --int8 --trt-rtx" in caught.value.hint


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"no network")

    with pytest.raises(ExportError, match=r"refuses a\.onnx"):
        parse_by_rtx(tmp_path / "a.onnx")


def test_compute_capabilities_are_those_of_the_library() -> None:
    assert check_capabilities(["8.9", "12.0", "8.6", "8.9"]) == ("8.6", "8.9", "12.0")
    with pytest.raises(OptionError, match=r"'9\.9'") as caught:
        check_capabilities(["9.9"])
    assert "7.5, 8.0, 8.6, 8.9, 12.0" in caught.value.hint
    with pytest.raises(OptionError, match="No compute capability"):
        check_capabilities([])


def test_without_the_library_the_error_names_the_extra(
    graphs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)

    with pytest.raises(RuntimeUnavailableError, match="TensorRT for RTX cannot be used") as caught:
        parse_by_rtx(graphs["mean"])

    assert "pip install 'pcedge[trt-rtx]'" in caught.value.hint


def test_an_engine_is_named_for_its_source_and_for_what_it_was_built(graphs: dict[str, Path]) -> None:
    source, part = graphs["mean"], graphs["part"]
    alone = rtx_engine_name(source, ("8.6", "12.0"), "1.7.1")
    fused = rtx_engine_name(source, ("8.6",), "1.7.1", part)

    digest = sha256(source.read_bytes()).hexdigest()[:12]
    assert alone == f"mean.trtrtx1.7.1.sm86-sm120.{digest}.engine"
    assert (is_fused(alone), is_fused(fused)) == (False, True)
    assert is_rtx_engine(alone)
    assert is_rtx_engine_of(alone, source)
    assert is_rtx_engine_of(fused, source, part)
    assert not is_rtx_engine_of(fused, source)
    assert not is_rtx_engine_of(alone, graphs["fp16"])
    assert not is_rtx_engine("mean.orin.trt10.3.0.0123.engine")


@pytest.fixture
def engine(graphs: dict[str, Path], tmp_path: Path) -> Path:
    """An engine with the search in it, really built."""
    path = tmp_path / "e.engine"
    build_rtx_engine(
        graphs["mean-fused"], path, ("8.6", "8.9"), image_size=SIZE, max_batch=4, largest_bank=(ROWS, 48)
    )
    return path


def test_an_engine_file_says_what_it_was_built_from_and_for(graphs: dict[str, Path], engine: Path) -> None:
    info, plan = read_engine(engine)

    assert (info.tensorrt, info.compute) == (rtx_version(), ("8.6", "8.9"))
    assert info.source == "mean.fused.onnx"
    assert info.source_sha256 == sha256(graphs["mean-fused"].read_bytes()).hexdigest()
    assert info.plan_sha256 == sha256(plan).hexdigest()
    assert info.inputs["bank"] == ((1, 48), (ROWS, 48), (ROWS, 48))


def _replace(path: Path, **changes: Any) -> None:
    info, plan = read_engine(path)
    write_engine(
        path, EngineInfo(**{name: getattr(info, name) for name in info.__struct_fields__} | changes), plan
    )


class _Driver:
    """libcuda with one GPU of a compute capability."""

    def __init__(self, capability: str) -> None:
        self._digits = dict(zip((75, 76), map(int, capability.split(".")), strict=True))

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return 0

    def cuDeviceGet(self, device: Any, number: int) -> int:  # noqa: N802
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, device: Any) -> int:  # noqa: N802
        value._obj.value = self._digits[attribute]
        return 0


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Pretend to have a GPU, as far as asking the driver for it goes; or none."""

    def pretend(capability: str) -> None:
        found = _Driver(capability) if capability else None
        monkeypatch.setattr("pcedge.export.engines.gpu._driver", lambda: found)

    return pretend


def test_the_driver_says_the_compute_capability(driver: Callable[[str], None]) -> None:
    driver("12.0")
    assert compute_capability() == "12.0"
    driver("")
    assert compute_capability() is None


def test_an_engine_for_another_gpu_is_refused(engine: Path, driver: Callable[[str], None]) -> None:
    driver("12.0")

    with pytest.raises(ExportError, match=r"built for compute capability 8\.6, 8\.9; .* has 12\.0") as caught:
        TensorrtSearchingRuntime(engine, TENSORRT_RTX)

    assert "pcedge export --trt-rtx --compute 12.0" in caught.value.hint


def test_an_engine_of_another_version_is_refused(engine: Path, driver: Callable[[str], None]) -> None:
    driver("8.6")
    _replace(engine, tensorrt="1.5.0")

    with pytest.raises(
        ExportError, match=rf"TensorRT for RTX 1\.5\.0; this machine has {rtx_version()}"
    ) as caught:
        TensorrtSearchingRuntime(engine, TENSORRT_RTX)

    assert "pcedge export --trt-rtx --compute 8.6,8.9" in caught.value.hint
    assert "pip install tensorrt-rtx-cu13==1.5.0" in caught.value.hint


def test_an_engine_that_is_cut_off_is_refused(engine: Path, driver: Callable[[str], None]) -> None:
    driver("8.6")
    engine.write_bytes(engine.read_bytes()[:-100])

    with pytest.raises(ExportError, match="is cut off or was changed") as caught:
        TensorrtSearchingRuntime(engine, TENSORRT_RTX)

    assert "pcedge export --trt-rtx --compute 8.6,8.9" in caught.value.hint


def test_without_a_driver_the_error_says_so(engine: Path, driver: Callable[[str], None]) -> None:
    driver("")

    with pytest.raises(RuntimeUnavailableError, match="no driver") as caught:
        TensorrtSearchingRuntime(engine, TENSORRT_RTX)

    assert "--runtime onnx" in caught.value.hint


def test_an_engine_of_tensorrt_is_not_taken_for_one_of_tensorrt_for_rtx(engine: Path) -> None:
    _replace(engine, compute=(), gpu="Orin")

    with pytest.raises(ExportError, match="by TensorRT on a Orin") as caught:
        TensorrtRuntime(engine, TENSORRT_RTX)

    assert "pcedge export --trt-rtx" in caught.value.hint


@pytest.fixture
def polygraphy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Polygraphy that nothing in this process has imported yet, and the one of before afterwards."""
    pytest.importorskip("polygraphy")
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "polygraphy"}
    for name in before:
        monkeypatch.delitem(sys.modules, name)
    yield None
    for name in [name for name in sys.modules if name.split(".")[0] == "polygraphy"]:
        del sys.modules[name]


@pytest.mark.usefixtures("polygraphy")
def test_the_real_library_tries_to_load_the_engine_and_says_that_the_driver_is_missing(
    engine: Path, driver: Callable[[str], None]
) -> None:
    if compute_capability() is not None:
        pytest.skip("there is a driver")
    driver("8.6")

    with pytest.raises(ExportError, match="CUDA driver version is insufficient") as caught:
        TensorrtSearchingRuntime(engine, TENSORRT_RTX)

    assert "update NVIDIA's driver" in caught.value.hint


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the library, for what Polygraphy calls
@pytest.mark.usefixtures("polygraphy")
def test_polygraphy_builds_with_the_real_library_by_the_calls_that_we_make(graphs: dict[str, Path]) -> None:
    """Its loaders over NVIDIA's classes: the same calls build engines by TensorRT 10 and 11 on a device."""
    from polygraphy import config

    config.USE_TENSORRT_RTX = True
    from polygraphy.backend import trt
    from polygraphy.backend.tensorrt_rtx import CreateConfigRTX

    profile = trt.Profile()
    for name, (least, usual, most) in _inputs("mean-fused").items():
        profile.add(name, min=least, opt=usual, max=most)
    network = trt.NetworkFromOnnxPath(str(graphs["mean-fused"]), strongly_typed=True)
    limits = {rtx.MemoryPoolType.WORKSPACE: 2**28}
    settings = CreateConfigRTX(profiles=[profile], memory_pool_limits=limits, compute_capabilities=[(8, 9)])

    plan = trt.EngineBytesFromNetwork(network, settings)()

    assert len(bytes(plan)) > 1000
    assert hasattr(rtx.ICudaEngine, "device_memory_size_v2")


class _Runner:
    """As Polygraphy's: it is given the engine and runs the search on the processor."""

    def __init__(self, engine: object) -> None:
        assert engine == "an engine"

    def activate(self) -> None:
        return None

    def deactivate(self) -> None:
        return None

    def infer(self, feed: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        return {"embeddings": np.zeros((len(feed["images"]), 64, 48), np.float32)}


@pytest.mark.usefixtures("polygraphy")
def test_with_a_driver_polygraphy_runs_it(
    engine: Path, driver: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    driver("8.9")
    runtime = SimpleNamespace(deserialize_cuda_engine=lambda plan: "an engine")
    monkeypatch.setattr(rtx, "Runtime", lambda log: runtime)
    from polygraphy import config

    config.USE_TENSORRT_RTX = True
    import polygraphy.backend.trt

    monkeypatch.setattr(polygraphy.backend.trt, "TrtRunner", _Runner)

    with TensorrtSearchingRuntime(engine, TENSORRT_RTX) as opened:
        assert opened.name == f"tensorrt-rtx {rtx_version()}"
        assert opened.infer(np.zeros((2, 3, SIZE, SIZE), np.float32)).shape == (2, 64, 48)
        with pytest.raises(RuntimeUnavailableError, match="at most 4 images") as caught:
            opened.infer(np.zeros((5, 3, SIZE, SIZE), np.float32))

    assert "pcedge export --trt-rtx --batch 5" in caught.value.hint


@pytest.mark.usefixtures("polygraphy")
def test_a_process_runs_engines_of_one_of_the_two(engine: Path, driver: Callable[[str], None]) -> None:
    import polygraphy.backend.trt  # noqa: F401 (as TensorRT's runtime does)

    driver("8.9")

    with pytest.raises(RuntimeUnavailableError, match="has run engines of TensorRT, and cannot") as caught:
        TensorrtSearchingRuntime(engine, TENSORRT_RTX)

    assert "--runtime tensorrt-rtx" in caught.value.hint
