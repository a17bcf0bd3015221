import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper, parser

from pcedge.errors import ExportError
from pcedge.export import check_operators, fixed_shapes, tensorrt_operators

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT.parent / "shared" / "reference" / "tensorrt10_onnx_operators.csv"


def _graph(body: str, inputs: str = "float[n, 4] x", outputs: str = "float[n, 4] y") -> ModelProto:
    head = '<ir_version: 8, opset_import: ["" : 17]>'
    model: ModelProto = parser.parse_model(f"{head} g ({inputs}) => ({outputs}) {{ {body} }}")
    return model


@pytest.fixture
def write(tmp_path: Path) -> Callable[[ModelProto], Path]:
    def save(model: ModelProto) -> Path:
        onnx.save(model, tmp_path / "net.onnx")
        return tmp_path / "net.onnx"

    return save


def test_what_a_file_uses_is_told_with_its_types(write: Callable[[ModelProto], Path]) -> None:
    path = write(
        _graph("a = Relu (x) s = Shape (a) z = Cast <to = 10> (a) b = Cast <to = 1> (z) y = Abs (b)")
    )

    assert check_operators(path) == {
        "Abs": ("FP32",),
        "Cast": ("FP16", "FP32"),
        "Relu": ("FP32",),
        "Shape": ("FP32",),
    }


def _quantised(zero_point: np.generic, body: str = "y = Relu (r)") -> ModelProto:
    model = _graph(f"q = QuantizeLinear (x, s, p) r = DequantizeLinear (q, s, p) {body}")
    for name, value in (("s", np.float32(0.5)), ("p", zero_point)):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return model


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("y = Det (x)", r"Det \(node 'y'\) is not supported"),
        ("d = Cast <to = 11> (x) e = Relu (d) y = Cast <to = 1> (e)", r"Cast .*DOUBLE, and 2 more"),
        ("i = Cast <to = 6> (x) k = Pow (i, i) y = Cast <to = 1> (k)", "Pow .*INT32"),
        (
            "s = Constant <value = float[2] {1.0, 2.0}> () "
            'e = Constant <value = float[0] {}> () y = Resize <mode = "cubic"> (x, e, s)',
            "Resize .*mode = cubic",
        ),
        (
            "s = Constant <value = float[2] {1.0, 2.0}> () e = Constant <value = float[0] {}> () "
            'y = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel_symmetric"> (x, e, s)',
            "coordinate_transformation_mode = half_pixel_symmetric",
        ),
        ("s = Shape <start = 1> (x) y = ReduceSum (x, s)", "ReduceSum .*constant axes"),
    ],
)
def test_what_tensorrt_lacks_is_named_with_its_node(
    write: Callable[[ModelProto], Path], body: str, problem: str
) -> None:
    path = write(_graph(body))

    with pytest.raises(ExportError, match=problem) as caught:
        check_operators(path)

    assert "net.onnx" in caught.value.what
    assert "--runtime onnx" in caught.value.hint


@pytest.mark.parametrize(
    ("zero_point", "problem"),
    [
        (np.int8(3), r"QuantizeLinear .*zero point of 0, and 1 more"),
        (np.uint8(0), r"QuantizeLinear .*not supported for UINT8"),
    ],
)
def test_quantisation_must_be_symmetric(
    write: Callable[[ModelProto], Path], zero_point: np.generic, problem: str
) -> None:
    with pytest.raises(ExportError, match=problem):
        check_operators(write(_quantised(zero_point)))


def test_symmetric_quantisation_and_constant_axes_are_accepted(write: Callable[[ModelProto], Path]) -> None:
    path = write(_quantised(np.int8(0), "a = Constant <value_ints = [1]> () y = ReduceSum (r, a)"))

    assert check_operators(path)["DequantizeLinear"] == ("INT8",)


def test_a_bias_in_int32_is_refused(write: Callable[[ModelProto], Path]) -> None:
    model = _graph("y = Add (x, b)")
    scale = numpy_helper.from_array(np.array(0.5, np.float32), "scale")
    model.graph.initializer.extend([numpy_helper.from_array(np.arange(4, dtype=np.int32), "bias"), scale])
    model.graph.node.insert(0, helper.make_node("DequantizeLinear", ["bias", "scale"], ["b"], name="dq"))

    with pytest.raises(ExportError, match=r"DequantizeLinear \(node 'dq'\) is not supported for INT32"):
        check_operators(write(model))


def test_operators_of_another_domain_are_refused(write: Callable[[ModelProto], Path]) -> None:
    model = _graph("y = Relu (x)")
    model.graph.node[0].domain = "com.microsoft"

    with pytest.raises(ExportError, match=r"no standard operator but one of 'com\.microsoft'"):
        check_operators(write(model))


@pytest.mark.parametrize("content", [b"", b"\x00garbage" * 50])
@pytest.mark.parametrize("use", [check_operators, fixed_shapes])
def test_a_file_that_is_no_network_is_named(
    tmp_path: Path, content: bytes, use: Callable[[Path], object]
) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)

    with pytest.raises(ExportError, match=r"broken\.onnx") as caught:
        use(path)

    assert "pcedge export" in caught.value.hint


def test_every_shape_follows_from_the_free_sizes(write: Callable[[ModelProto], Path]) -> None:
    path = write(_graph("t = Transpose (x) y = MatMul (x, t)", outputs="float[n, n] y"))

    assert fixed_shapes(path, n=3) == {"y": (3, 3)}
    with pytest.raises(ExportError, match="not known beforehand"):
        fixed_shapes(path)


def test_a_shape_that_depends_on_values_is_an_error(write: Callable[[ModelProto], Path]) -> None:
    path = write(_graph("y = NonZero (x)", outputs="int64[2, k] y"))

    with pytest.raises(ExportError, match=r"'y' .*not known beforehand"):
        fixed_shapes(path, n=2)


def test_the_list_travels_with_the_wheel() -> None:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 cannot read TOML")
    with (ROOT / "pyproject.toml").open("rb") as file:
        patterns = tomllib.load(file)["tool"]["setuptools"]["package-data"]["pcedge.export.graphs"]
    data = {
        path.name
        for path in (ROOT / "export" / "graphs").iterdir()
        if path.is_file() and path.suffix != ".py"
    }

    assert data == {path.name for pattern in patterns for path in (ROOT / "export" / "graphs").glob(pattern)}
    assert data == {"tensorrt10_operators.csv"}


def test_every_type_in_the_list_is_one_that_onnx_has() -> None:
    names = {*TensorProto.DataType.keys(), "FP32", "FP16", "BF16", "FP8"}

    assert {name for support in tensorrt_operators().values() for name in support.types} <= names


@pytest.mark.shared
@pytest.mark.skipif(not REFERENCE.is_file(), reason=f"{REFERENCE} is not on this machine")
def test_the_list_is_the_reference() -> None:
    with REFERENCE.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["supported"] == "Y"]

    assert {row["operator"] for row in rows} == set(tensorrt_operators())
    for row in rows:
        types = {name.strip() for name in row["types"].replace("INF64", "INT64").split(",") if name.strip()}
        assert tensorrt_operators()[row["operator"]].types == types
