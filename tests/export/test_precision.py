import itertools
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from torch import nn
from torch.nn import functional

from pcedge.camera import read_image
from pcedge.core.preprocessing import Preprocessing
from pcedge.errors import ExportError, MissingExtraError
from pcedge.export import (
    OPSET,
    Int8Kind,
    OnnxRuntime,
    check_operators,
    fixed_shapes,
    write_fp16,
    write_int8,
    write_onnx,
)
from pcedge.networks.backbones import load_backbone
from pcedge.networks.embedder import build_embedder

SIZE = 32


class _Residual(nn.Module):
    """What the embedders are made of: convolutions, a shortcut, pooling, a resize given by scales."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.first = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        fine = torch.relu(self.stem(images))
        coarse = torch.relu(self.first(fine) + functional.max_pool2d(fine, 2))
        features = torch.relu(self.second(coarse))
        upper = functional.interpolate(
            functional.avg_pool2d(features, 3, stride=1, padding=1), scale_factor=2.0, mode="bilinear"
        )
        both = torch.cat([functional.avg_pool2d(fine, 3, stride=1, padding=1), upper], dim=1)
        return both.flatten(2).transpose(1, 2)


def _images(seed: int, n: int = 2) -> NDArray[np.float32]:
    coarse = np.random.default_rng(seed).normal(size=(n, 3, SIZE // 4, SIZE // 4))
    return coarse.repeat(4, axis=2).repeat(4, axis=3).astype(np.float32)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "embedder.onnx"
    write_onnx(_Residual(), torch.zeros(2, 3, SIZE, SIZE), path)
    return path


def _infer(path: Path, images: NDArray[np.float32]) -> NDArray[np.float32]:
    with OnnxRuntime(path, "cpu") as runtime:
        return runtime.infer(images)


def _error(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Root mean square error, beside how much embeddings differ among themselves."""
    spread = expected - expected.mean(axis=(0, 1))
    return float(np.linalg.norm(found - expected) / np.linalg.norm(spread))


def _write(path: Path, target: Path, precision: str) -> None:
    if precision == "fp16":
        write_fp16(path, target)
    else:
        write_int8(path, target, [_images(i) for i in range(8)], kind=_kind(precision))


def _kind(precision: str) -> Int8Kind:
    return "cpu" if precision == "int8-cpu" else "tensorrt"


PRECISIONS = pytest.mark.parametrize(
    ("precision", "tolerance"), [("fp16", 2e-3), ("int8-tensorrt", 0.03), ("int8-cpu", 0.03)]
)


@PRECISIONS
def test_a_copy_computes_the_same_within_its_precision(
    network: Path, tmp_path: Path, precision: str, tolerance: float
) -> None:
    images = _images(99, 3)
    target = tmp_path / "copy.onnx"
    target.write_bytes(b"old")

    _write(network, target, precision)

    expected, found = _infer(network, images), _infer(target, images)
    assert 0 < _error(found, expected) < tolerance
    assert found.shape == expected.shape
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.onnx"]


@PRECISIONS
def test_a_copy_is_a_valid_opset_17_file_with_float32_at_both_ends(
    network: Path, tmp_path: Path, precision: str, tolerance: float
) -> None:
    _write(network, tmp_path / "copy.onnx", precision)

    model = onnx.load(tmp_path / "copy.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    for value in (*model.graph.input, *model.graph.output):
        assert value.type.tensor_type.elem_type == TensorProto.FLOAT
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["images", "embeddings"]
    assert fixed_shapes(tmp_path / "copy.onnx", batch=4)["embeddings"] == (4, 256, 16)


@PRECISIONS
def test_the_same_network_gives_the_same_file(
    network: Path, tmp_path: Path, precision: str, tolerance: float
) -> None:
    _write(network, tmp_path / "one.onnx", precision)
    _write(network, tmp_path / "two.onnx", precision)

    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()


def test_fp16_converts_all_but_sizes(network: Path, tmp_path: Path) -> None:
    write_fp16(network, tmp_path / "half.onnx")

    operators = check_operators(tmp_path / "half.onnx")
    assert {operators[name] for name in ("Conv", "Relu", "AveragePool", "Resize", "Add")} == {("FP16",)}
    float32 = {
        tensor.name
        for tensor in onnx.load(tmp_path / "half.onnx").graph.initializer
        if tensor.data_type == TensorProto.FLOAT
    }
    sizes = {
        name
        for node in onnx.load(tmp_path / "half.onnx").graph.node
        if node.op_type == "Resize"
        for name in node.input[1:]
    }
    assert float32 == sizes & float32 != set()


# The constant is a factor and a size at once; the other size is computed.
RESIZES = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[n, 4] images) => (float[n, m] embeddings)
<float[2] twice = {1.0, 2.0}, float[2] ones = {1.0, 1.0}, float[1] half = {0.5}>
{
    wide = Resize <mode = "nearest"> (images, , twice)
    sizes = Mul (twice, ones)
    wider = Resize <mode = "nearest"> (wide, , sizes)
    embeddings = Mul (wider, half)
}
"""


def test_fp16_leaves_sizes_alone_that_are_computed_or_used_for_something_else(tmp_path: Path) -> None:
    onnx.save(onnx.parser.parse_model(RESIZES), tmp_path / "resizes.onnx")
    images = np.array([[1, 2, 3, 4]], np.float32)

    write_fp16(tmp_path / "resizes.onnx", tmp_path / "half.onnx")

    np.testing.assert_array_equal(_infer(tmp_path / "half.onnx", images), images.repeat(4, axis=1) / 2)
    assert check_operators(tmp_path / "half.onnx")["Mul"] == ("FP16",)


def _with_weight(network: Path, target: Path, value: float) -> str:
    """Set one weight of the first convolution; returns its name."""
    model = onnx.load(network)
    tensor = model.graph.initializer[0]
    values = numpy_helper.to_array(tensor).copy()
    values.flat[0] = value
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(model, target)
    return str(tensor.name)


@pytest.mark.parametrize("value", [65536.0, -1e9, np.inf, np.nan])
def test_fp16_refuses_a_weight_that_it_cannot_hold(network: Path, tmp_path: Path, value: float) -> None:
    name = _with_weight(network, tmp_path / "large.onnx", value)

    with pytest.raises(ExportError, match="half precision") as caught:
        write_fp16(tmp_path / "large.onnx", tmp_path / "half.onnx")

    assert repr(name) in caught.value.what
    assert "65504" in caught.value.what
    assert not (tmp_path / "half.onnx").exists()


@pytest.mark.parametrize("value", [1e-12, -1e-12])
def test_fp16_never_makes_a_small_weight_zero(network: Path, tmp_path: Path, value: float) -> None:
    name = _with_weight(network, tmp_path / "small.onnx", value)

    write_fp16(tmp_path / "small.onnx", tmp_path / "half.onnx")

    weights = {t.name: numpy_helper.to_array(t) for t in onnx.load(tmp_path / "half.onnx").graph.initializer}
    assert weights[name].dtype == np.float16
    assert weights[name].flat[0] == pytest.approx(np.sign(value) * 2.0**-24)


def test_fp16_of_what_is_no_float32_network_is_an_error(network: Path, tmp_path: Path) -> None:
    write_int8(network, tmp_path / "int8.onnx", [_images(1)])

    with pytest.raises(ExportError, match="invalid"):
        write_fp16(tmp_path / "int8.onnx", tmp_path / "half.onnx")


def test_int8_for_tensorrt_is_symmetric_and_keeps_the_last_averaging_exact(
    network: Path, tmp_path: Path
) -> None:
    write_int8(network, tmp_path / "int8.onnx", [_images(i) for i in range(4)])

    graph = onnx.load(tmp_path / "int8.onnx").graph
    check_operators(tmp_path / "int8.onnx")
    producers = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        feeds = [producers[name].op_type for name in node.input if name in producers]
        if node.op_type == "Conv":
            assert feeds == ["DequantizeLinear", "DequantizeLinear"]
        elif node.op_type in ("AveragePool", "Resize", "Concat", "Transpose"):
            assert "DequantizeLinear" not in feeds
    scales = [i for i in graph.initializer if i.data_type == TensorProto.INT8 and len(i.dims) == 4]
    assert len(scales) == 3


def test_int8_for_cpus_is_not_taken_for_tensorrt(network: Path, tmp_path: Path) -> None:
    write_int8(network, tmp_path / "int8.onnx", [_images(1)], kind="cpu")

    with pytest.raises(ExportError, match="QuantizeLinear"):
        check_operators(tmp_path / "int8.onnx")


@pytest.mark.parametrize("kind", ["tensorrt", "cpu"])
def test_int8_says_nothing_on_the_way_and_leaves_logging_alone(
    network: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: Int8Kind
) -> None:
    handlers = list(logging.getLogger().handlers)

    write_int8(network, tmp_path / "int8.onnx", [_images(1)], kind=kind)

    assert capfd.readouterr() == ("", "")
    assert logging.getLogger().handlers == handlers


def test_int8_reads_calibration_images_one_by_one(network: Path, tmp_path: Path) -> None:
    stream = (image[np.newaxis] for image in itertools.chain(_images(1, 5), _images(2, 3)))

    write_int8(network, tmp_path / "int8.onnx", stream)

    assert _infer(tmp_path / "int8.onnx", _images(3)).shape == (2, 256, 16)


def test_int8_without_calibration_images_is_an_error(network: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="images to calibrate on") as caught:
        write_int8(network, tmp_path / "int8.onnx", iter([]))

    assert "good images" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "image",
    [np.zeros((1, 3, SIZE + 1, SIZE), np.float32), np.zeros((1, 3, SIZE, SIZE)), np.zeros(3, np.float32)],
)
def test_calibration_images_of_another_shape_or_type_are_an_error(
    network: Path, tmp_path: Path, image: NDArray[np.float32]
) -> None:
    with pytest.raises(ExportError, match="could not be quantised") as caught:
        write_int8(network, tmp_path / "int8.onnx", [image])

    assert f"{image.dtype} {list(image.shape)}" in caught.value.hint


class _Means(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return functional.avg_pool2d(images, 3).flatten(2).transpose(1, 2)


def test_a_network_with_nothing_to_quantise_is_an_error(tmp_path: Path) -> None:
    write_onnx(_Means(), torch.zeros(2, 3, SIZE, SIZE), tmp_path / "means.onnx")

    with pytest.raises(ExportError, match=r"Nothing in means\.onnx"):
        write_int8(tmp_path / "means.onnx", tmp_path / "int8.onnx", [_images(1)])


def _fp16(source: Path, target: Path) -> None:
    write_fp16(source, target)


def _int8(source: Path, target: Path) -> None:
    write_int8(source, target, [_images(1)])


@pytest.mark.parametrize("write", [_fp16, _int8])
def test_a_source_that_is_no_network_is_named(tmp_path: Path, write: Callable[[Path, Path], None]) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"\x00garbage" * 50)

    with pytest.raises(ExportError, match=r"broken\.onnx"):
        write(tmp_path / "broken.onnx", tmp_path / "copy.onnx")
    with pytest.raises(ExportError, match=r"absent\.onnx"):
        write(tmp_path / "absent.onnx", tmp_path / "copy.onnx")


@pytest.mark.parametrize(
    ("write", "missing", "extra"),
    [(_fp16, "onnx", "fit"), (_int8, "onnx", "fit"), (_int8, "onnxruntime", "cpu")],
)
def test_without_a_library_the_extra_is_named(
    network: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Path, Path], None],
    missing: str,
    extra: str,
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)

    with pytest.raises(MissingExtraError, match=rf"(?s){missing}.*pcedge\[{extra}\]"):
        write(network, tmp_path / "copy.onnx")


@pytest.mark.shared
@pytest.mark.parametrize(
    ("precision", "tolerance"), [("fp16", 4e-3), ("int8-tensorrt", 0.12), ("int8-cpu", 0.10)]
)
def test_resnet_18_on_bottles(shared: Path, tmp_path: Path, precision: str, tolerance: float) -> None:
    preprocessing = Preprocessing()
    backbone = load_backbone("resnet18", weights_file=shared / "weights" / "resnet18.pth")
    embedder = build_embedder(backbone.module, preprocessing, "reference")
    source, target = tmp_path / "embedder.onnx", tmp_path / "copy.onnx"
    write_onnx(embedder, torch.zeros(2, 3, 224, 224), source)
    train = sorted((shared / "data/mvtec/bottle/train/good").iterdir())
    images = [preprocessing.apply(read_image(path))[np.newaxis] for path in train[:20]]

    if precision == "fp16":
        write_fp16(source, target)
    else:
        write_int8(source, target, images[:16], kind=_kind(precision))

    unseen = np.concatenate(images[16:])
    assert _error(_infer(target, unseen), _infer(source, unseen)) < tolerance
    assert target.stat().st_size < (0.51 if precision == "fp16" else 0.27) * source.stat().st_size
    if precision != "int8-cpu":
        check_operators(target)
