import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from pcedge.core.defaults import COMPACT
from pcedge.core.preprocessing import Preprocessing
from pcedge.errors import ExportError, MissingExtraError, RuntimeUnavailableError
from pcedge.export import OPSET, OnnxRuntime, Runtime, TorchRuntime, check_operators, fixed_shapes, write_onnx
from pcedge.networks.backbones import _kind
from pcedge.networks.embedder import build_embedder

SIZE = 16


class _Tiny(nn.Module):
    """Images to [n, 64 patches, 5], with a dropout that must be off."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution = nn.Conv2d(3, 5, 3, stride=2, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = functional.dropout(self.convolution(images), 0.5, self.training)
        patches: torch.Tensor = features.flatten(2).transpose(1, 2)
        return patches


class _Unwritable(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        values: torch.Tensor = torch.special.i1(images)
        return values.flatten(2)


def _images(n: int, size: int = SIZE) -> NDArray[np.float32]:
    return np.random.default_rng(n).normal(size=(n, 3, size, size)).astype(np.float32)


@pytest.fixture
def tiny_onnx(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.onnx"
    write_onnx(_Tiny(), torch.zeros(2, 3, SIZE, SIZE), path)
    return path


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_the_file_computes_what_the_module_does_at_any_batch_size(tiny_onnx: Path, batch: int) -> None:
    images = _images(batch)
    expected = TorchRuntime(_Tiny(), "cpu").infer(images)

    with OnnxRuntime(tiny_onnx, "cpu") as runtime:
        found = runtime.infer(images)

    assert found.shape == (batch, 64, 5)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_file_is_opset_17_with_a_free_batch_and_stated_sizes(tiny_onnx: Path) -> None:
    model = onnx.load(tiny_onnx)

    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert OPSET == 17
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    assert shapes["images"] == ["batch", 3, SIZE, SIZE]
    assert shapes["embeddings"][0] == "batch"
    onnx.checker.check_model(model, full_check=True)


def test_the_same_module_gives_the_same_file(tiny_onnx: Path, tmp_path: Path) -> None:
    write_onnx(_Tiny(), torch.zeros(2, 3, SIZE, SIZE), tmp_path / "again.onnx")

    assert (tmp_path / "again.onnx").read_bytes() == tiny_onnx.read_bytes()


def test_a_file_is_replaced_and_never_written_into(tmp_path: Path) -> None:
    path, kept = tmp_path / "new.onnx", tmp_path / "kept.onnx"
    kept.write_bytes(b"old")
    path.hardlink_to(kept)

    write_onnx(_Tiny(), torch.zeros(2, 3, SIZE, SIZE), path)

    assert kept.read_bytes() == b"old"
    onnx.checker.check_model(path)


def test_a_network_that_onnx_cannot_express_is_an_error_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ExportError, match=r"cannot be written as ONNX: .*special_i1"):
        write_onnx(_Unwritable(), torch.zeros(1, 3, 8, 8), tmp_path / "x.onnx")

    capsys.readouterr()  # the exporter prints its graph


@pytest.mark.parametrize("missing", ["onnx", "torch"])
def test_without_a_library_writing_names_it_and_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    module, example = _Tiny(), torch.zeros(1, 3, SIZE, SIZE)
    monkeypatch.setitem(sys.modules, missing, None)

    with pytest.raises(MissingExtraError, match=rf"(?s){missing}.*pcedge\[fit\]"):
        write_onnx(module, example, tmp_path / "x.onnx")


@dataclass(frozen=True, eq=False)
class _Exported:
    """A real embedder with random weights, and its file."""

    module: nn.Module
    path: Path


@pytest.fixture(
    scope="module",
    params=[
        ("resnet18", "reference", ()),
        ("resnet18", "mean", ("layer1", "layer2", "layer3")),
        ("squeezenet1_0", "reference", ("features.5", "features.10")),
        (COMPACT, "reference", ()),
        (COMPACT, "mean", ()),
    ],
    ids=lambda spec: "-".join((*spec[:2], *spec[2])),
)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> _Exported:
    name, kind, layers = request.param
    torch.manual_seed(0)
    network, _ = _kind(name).cut_off(name, layers, 224)
    embedder = build_embedder(network, Preprocessing(image_size=64), kind)
    path = tmp_path_factory.mktemp("exported") / "embedder.onnx"
    write_onnx(embedder, torch.zeros(2, 3, 64, 64), path)
    return _Exported(embedder, path)


def test_a_real_embedder_survives_the_way_to_onnx_runtime(exported: _Exported) -> None:
    images = _images(3, 64)
    expected = TorchRuntime(exported.module, "cpu").infer(images)

    with OnnxRuntime(exported.path, "cpu") as runtime:
        found = runtime.infer(images)

    np.testing.assert_allclose(found, expected, atol=2e-6 * np.abs(expected).max())


def test_tensorrt_has_every_operator_of_an_embedder(exported: _Exported) -> None:
    operators = check_operators(exported.path)

    assert operators["Conv"] == ("FP32",)
    assert fixed_shapes(exported.path, batch=3)["embeddings"][0] == 3


def _nothing(path: Path) -> None:
    path.unlink()


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _garbage(path: Path) -> None:
    path.write_bytes(b"\x00garbage" * 100)


def _truncated_file(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def _unknown_operator(path: Path) -> None:
    model = onnx.load(path)
    model.graph.node[0].op_type = "Convolve"
    onnx.save(model, path)


@pytest.mark.parametrize("damage", [_nothing, _empty, _garbage, _truncated_file, _unknown_operator])
def test_a_file_that_is_no_network_is_an_error_that_names_it(
    tiny_onnx: Path, damage: Callable[[Path], None]
) -> None:
    damage(tiny_onnx)

    with pytest.raises(ExportError) as caught:
        OnnxRuntime(tiny_onnx, "cpu")

    assert str(tiny_onnx) in caught.value.what
    assert "\n" not in caught.value.what
    assert "pcedge export" in caught.value.hint


@pytest.mark.parametrize("device", ["npu", "", "CPU", "gpu"])
def test_onnx_runtime_says_which_devices_there_are(tiny_onnx: Path, device: str) -> None:
    with pytest.raises(RuntimeUnavailableError) as caught:
        OnnxRuntime(tiny_onnx, device)

    assert repr(device) in caught.value.what
    assert "cpu or cuda" in caught.value.hint


def test_onnx_runtime_without_cuda_says_how_to_get_it(
    tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])

    with pytest.raises(RuntimeUnavailableError, match=r"(?s)no CUDA.*pcedge\[gpu\]"):
        OnnxRuntime(tiny_onnx, "cuda")
    with OnnxRuntime(tiny_onnx, "auto") as runtime:
        assert runtime.name == "onnxruntime (CPU)"


def test_without_onnx_runtime_the_extra_is_named(tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    with pytest.raises(MissingExtraError, match=r"(?s)tiny\.onnx needs onnxruntime.*pcedge\[cpu\]"):
        OnnxRuntime(tiny_onnx)


@pytest.mark.parametrize("device", ["npu", "cuda:99", "nonsense:x"])
def test_torch_says_which_device_it_cannot_use(device: str) -> None:
    with pytest.raises(RuntimeUnavailableError) as caught:
        TorchRuntime(_Tiny(), device)

    assert repr(device) in caught.value.what
    assert "--device" in caught.value.hint


@pytest.mark.parametrize("kind", ["torch", "onnx"])
def test_results_belong_to_the_caller_and_inputs_are_left_alone(tiny_onnx: Path, kind: str) -> None:
    images = _images(2)
    before = images.copy()
    opened: Runtime = TorchRuntime(_Tiny(), "cpu") if kind == "torch" else OnnxRuntime(tiny_onnx)
    with opened as runtime:
        first = runtime.infer(images)
        kept = first.copy()
        second = runtime.infer(_images(2) + 1)

    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(images, before)
    assert not np.array_equal(first, second)
    assert first.dtype == np.float32
    assert first.flags.c_contiguous


def test_the_torch_runtime_switches_training_behaviour_and_tf32_off() -> None:
    module: Any = _Tiny().train()

    runtime = TorchRuntime(module, "cpu")

    np.testing.assert_array_equal(runtime.infer(_images(1)), runtime.infer(_images(1)))
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32
    assert runtime.name == "torch (cpu)"
