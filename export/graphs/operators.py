"""Check that TensorRT supports every operator of an ONNX file; needs no device.

The list is that of TensorRT 10's ONNX parser and lies beside this module. TensorRT 8.6 lacks a few of its
newer operators, none of which PyTorch writes at opset 17.
"""

import csv
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.typing import NDArray

from pcedge.errors import ExportError

from .graph_file import read_graph

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_LIST = "tensorrt10_operators.csv"
_STANDARD = ("", "ai.onnx")
# Names of onnx.TensorProto's types in the list.
_TYPES = {
    "FLOAT": "FP32",
    "FLOAT16": "FP16",
    "BFLOAT16": "BF16",
    "FLOAT8E4M3FN": "FP8",
}
_RESIZE: dict[str, set[Any]] = {
    "coordinate_transformation_mode": {
        "half_pixel",
        "pytorch_half_pixel",
        "tf_half_pixel_for_nn",
        "asymmetric",
        "align_corners",
    },
    "mode": {"nearest", "linear"},
    "keep_aspect_ratio_policy": {"stretch"},
    "antialias": {0},
}


class Support(NamedTuple):
    """What TensorRT takes of an operator: names of tensor types, and what else it asks, in words."""

    types: frozenset[str]
    restrictions: str


@cache
def tensorrt_operators() -> dict[str, Support]:
    """The operators that TensorRT 10 has, by name."""
    text = resources.files(__package__).joinpath(_LIST).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {
        row["operator"]: Support(frozenset(row["types"].split()), row["restrictions"])
        for row in csv.DictReader(lines)
    }


def check_operators(path: Path) -> dict[str, tuple[str, ...]]:
    """Check every operator of an ONNX file and its tensors' types against what TensorRT 10 accepts.

    Args:
        path: The ONNX file.

    Returns:
        The operators in the file and the types each is used with, both sorted.

    Raises:
        MissingExtraError: onnx is not installed.
        ExportError: TensorRT lacks an operator, or does not take it with this type or these options; the
            message names operator and node.
    """
    model = read_graph(path)
    checker = _Checker(_with_types(model, path))
    found: dict[str, set[str]] = {}
    problems = []
    for node in model.graph.node:
        problem = checker.problem(node)
        if problem:
            problems.append(f"{_describe(node)} {problem}")
        else:
            found.setdefault(node.op_type, set()).update(checker.types(node))
    if problems:
        more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise _refused(path, problems[0] + more)
    return {operator: tuple(sorted(types)) for operator, types in sorted(found.items())}


def _describe(node: "NodeProto") -> str:
    return f"{node.op_type} (node {node.name or node.output[0]!r})"


def _refused(path: Path, problem: str) -> ExportError:
    return ExportError(
        f"TensorRT 10 cannot run {path.name}: {problem}.",
        "Use it with --runtime onnx, or choose another --backbone or other --layers.",
    )


def _with_types(model: "ModelProto", path: Path) -> "ModelProto":
    from onnx import shape_inference

    for node in model.graph.node:
        if node.domain not in _STANDARD:  # whose types nobody can infer
            raise _refused(path, f"{_describe(node)} is no standard operator but one of {node.domain!r}")
    try:
        return shape_inference.infer_shapes(model, data_prop=True)
    except shape_inference.InferenceError as error:
        raise ExportError(
            f"{path.name} contradicts itself ({error}).", "Write it again with: pcedge export"
        ) from error


class _Checker:
    """Looks at one node at a time, knowing the types and the constants of the whole graph."""

    def __init__(self, model: "ModelProto") -> None:
        from onnx import numpy_helper
        from onnx.external_data_helper import uses_external_data

        graph = model.graph
        self._opset = next(entry.version for entry in model.opset_import if entry.domain in _STANDARD)
        self._constants: dict[str, NDArray[Any] | None] = {
            tensor.name: None if uses_external_data(tensor) else numpy_helper.to_array(tensor)
            for tensor in graph.initializer
        }
        for node in graph.node:
            for attribute in node.attribute:
                if node.op_type == "Constant" and attribute.name == "value":
                    self._constants[node.output[0]] = numpy_helper.to_array(attribute.t)
                elif node.op_type == "Constant":
                    self._constants[node.output[0]] = None
        self._types = {tensor.name: _type_name(tensor.data_type) for tensor in graph.initializer} | {
            value.name: _type_name(value.type.tensor_type.elem_type)
            for value in (*graph.input, *graph.value_info, *graph.output)
        }

    def types(self, node: "NodeProto") -> set[str]:
        """Types of the tensors that the list's types are about: those tied to the first input's."""
        schema = self._schema(node)
        if not node.input:
            return {self._types.get(node.output[0], "unknown")}
        variable = schema.inputs[0].type_str
        tied = {
            name
            for names, formals in ((node.input, schema.inputs), (node.output, schema.outputs))
            for i, name in enumerate(names)
            if name and formals[min(i, len(formals) - 1)].type_str == variable
        }
        if node.op_type == "Cast":
            tied.add(node.output[0])
        return {self._types.get(name, "unknown") for name in tied}

    def problem(self, node: "NodeProto") -> str | None:
        """Return why TensorRT does not support a node, or None."""
        support = tensorrt_operators().get(node.op_type)
        if support is None:
            return "is not supported"
        if any(attribute.HasField("g") for attribute in node.attribute):
            return "has a network of its own inside, which cannot be checked"
        wrong = self.types(node) - support.types
        if wrong:
            return f"is not supported for {', '.join(sorted(wrong))}"
        return self._option_problem(node, support)

    def _option_problem(self, node: "NodeProto", support: Support) -> str | None:
        from onnx import helper

        options: dict[str, Any] = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Resize":
            return _resize_problem(options)
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            return self._zero_point_problem(node)
        if node.op_type in ("MaxPool", "AveragePool") and set(options.get("dilations", ())) - {1}:
            return "must not be dilated"
        if node.op_type == "MaxPool" and len(node.output) > 1:
            return "must not give indices"
        if "`axes` must be" in support.restrictions and not self._axes_are_constant(node):
            return "needs constant axes"
        return None

    def _zero_point_problem(self, node: "NodeProto") -> str | None:
        if len(node.input) < 3 or not node.input[2]:
            return "has no zero point, which makes it unsigned" if node.op_type == "QuantizeLinear" else None
        point = self._constants.get(node.input[2])
        if point is None or point.any():
            return "needs a zero point of 0"
        kind = self._types.get(node.input[2], "unknown")
        return None if kind in ("INT8", "FP8", "INT4") else f"is not supported for {kind}"

    def _axes_are_constant(self, node: "NodeProto") -> bool:
        names = [formal.name for formal in self._schema(node).inputs]
        place = names.index("axes") if "axes" in names else len(node.input)
        return place >= len(node.input) or not node.input[place] or node.input[place] in self._constants

    def _schema(self, node: "NodeProto") -> Any:
        from onnx import defs

        return defs.get_schema(node.op_type, self._opset)


def _type_name(number: int) -> str:
    from onnx import TensorProto

    name: str = TensorProto.DataType.Name(number)
    return _TYPES.get(name, name)


def _resize_problem(options: dict[str, Any]) -> str | None:
    for name, accepted in _RESIZE.items():
        value = options.get(name)
        value = value.decode() if isinstance(value, bytes) else value
        if value is not None and value not in accepted:
            return f"does not do {name} = {value}"
    return None
