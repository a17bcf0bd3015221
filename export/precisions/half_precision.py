"""A half-precision copy of an ONNX file: weights and arithmetic in float16, input and output in float32.

ONNX Runtime ships a converter, but what it writes is not in topological order, so that ONNX's checker
refuses it, and weights beyond float16 are silently cut off. Here they are an error.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pcedge.errors import ExportError

from ..graphs.graph_file import lift_constants, read_graph, require_onnx, save_graph

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto

# Inputs, by number, that are sizes in disguise and stay float32 whatever the tensor's type.
_FLOAT32_INPUTS = {"Resize": (1, 2), "Upsample": (1,)}
_LARGEST = float(np.finfo(np.float16).max)
_SMALLEST = np.finfo(np.float16).smallest_subnormal


def write_fp16(source: Path, target: Path) -> None:
    """Write a float16 copy of a float32 network; its input and output stay float32.

    The precision is in the file itself, as strongly typed TensorRT networks need it. A weight too small for
    float16 becomes the smallest number there is, not zero: it may be a divisor.

    Args:
        source: A float32 ONNX file.
        target: Where to write; an existing file is replaced.

    Raises:
        MissingExtraError: onnx is not installed.
        ExportError: A weight is too large for float16, or the network has a part that cannot be converted.
    """
    require_onnx("Writing half precision")
    from onnx import TensorProto

    model = read_graph(source)
    graph = model.graph
    lift_constants(graph)
    for node in graph.node:
        _convert_attributes(node)
    nodes = _keep_sizes(graph)
    entry = [_cast_input(value.name, nodes) for value in graph.input if _is_float32(value)]
    leaving = [_cast_output(value.name, nodes) for value in graph.output if _is_float32(value)]
    used = {name for node in nodes for name in node.input}
    sizes = {node.input[i] for node in nodes for i in _size_inputs(node)}
    initializers = [
        _to_half(tensor, source)
        if tensor.data_type == TensorProto.FLOAT and tensor.name not in sizes
        else tensor
        for tensor in graph.initializer
        if tensor.name in used
    ]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(initializers)
    graph.node.extend([*entry, *nodes, *leaving])
    save_graph(model, target)


def _is_float32(value: "ValueInfoProto") -> bool:
    from onnx import TensorProto

    return bool(value.type.tensor_type.elem_type == TensorProto.FLOAT)


def _size_inputs(node: "NodeProto") -> list[int]:
    wanted = _FLOAT32_INPUTS.get(node.op_type, ())
    return [i for i in wanted if i < len(node.input) and node.input[i]]


def _keep_sizes(graph: "GraphProto") -> "list[NodeProto]":
    """The nodes in order, each float32-only input fed by a float32 tensor that nothing else uses."""
    from onnx import TensorProto, helper

    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    for number, node in enumerate(graph.node):
        for i in _size_inputs(node):
            name, own = node.input[i], f"{node.input[i]}_float32_{number}"
            if name in constants:
                copy = TensorProto()
                copy.CopyFrom(constants[name])
                copy.name = own
                graph.initializer.append(copy)
            else:
                nodes.append(helper.make_node("Cast", [name], [own], name=own, to=TensorProto.FLOAT))
            node.input[i] = own
        nodes.append(node)
    return nodes


def _cast_input(name: str, nodes: "list[NodeProto]") -> "NodeProto":
    from onnx import TensorProto, helper

    half = f"{name}_float16"
    _rename(name, half, nodes)
    return helper.make_node("Cast", [name], [half], name=half, to=TensorProto.FLOAT16)


def _cast_output(name: str, nodes: "list[NodeProto]") -> "NodeProto":
    from onnx import TensorProto, helper

    half = f"{name}_float16"
    _rename(name, half, nodes)
    return helper.make_node("Cast", [half], [name], name=f"{name}_float32", to=TensorProto.FLOAT)


def _rename(name: str, new: str, nodes: "list[NodeProto]") -> None:
    for node in nodes:
        for names in (node.input, node.output):
            for i, given in enumerate(names):
                if given == name:
                    names[i] = new


def _convert_attributes(node: "NodeProto") -> None:
    from onnx import TensorProto, helper, numpy_helper

    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.FLOAT16
        elif node.op_type == "ConstantOfShape" and attribute.t.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(attribute.t).astype(np.float16)
            attribute.CopyFrom(helper.make_attribute(attribute.name, numpy_helper.from_array(values)))


def _to_half(tensor: "TensorProto", source: Path) -> "TensorProto":
    from onnx import numpy_helper

    values: NDArray[np.float32] = numpy_helper.to_array(tensor)
    largest = float(np.abs(values).max(initial=0.0))
    if not largest <= _LARGEST:
        raise ExportError(
            f"{source.name} cannot be written in half precision: its weights {tensor.name!r} reach "
            f"{largest:g}, and float16 ends at {_LARGEST:g}.",
            "Use the float32 file, or int8.",
        )
    half = values.astype(np.float16)
    lost = (half == 0) & (values != 0)
    half[lost] = np.copysign(_SMALLEST, half[lost])
    return numpy_helper.from_array(half, tensor.name)
