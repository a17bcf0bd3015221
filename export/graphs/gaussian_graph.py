"""ONNX graph of Mahalanobis distances, appended to a network."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .graph_file import read_graph, save_graph
from .onnx_file import OUTPUT

_FEATURES, _MEAN, _WHITENING = "features", "mean", "whitening"


def write_gaussian_distances(network: Path, mean: NDArray[np.float32], whitening: Path, target: Path) -> None:
    """Write a network whose outputs are Mahalanobis distances of another's features.

    The distance of a position's features x is the length of (x - mean) times that position's whitening
    matrix. The matrices, most of the file otherwise, are not copied into it: the graph refers to the array
    file beside it, whose values lie behind its header just as ONNX wants them.

    Args:
        network: ONNX file, images to features [n, positions, dims].
        mean: float32 [positions, dims].
        whitening: ``.npy`` file, float32 [positions, dims, dims], in the directory of ``target``.
        target: Where to write, images to distances [n, positions, 1]; an existing file is replaced.

    Raises:
        ExportError: The shapes do not fit each other, or the result is not a valid network.
    """
    from onnx import TensorProto, helper, numpy_helper

    model = read_graph(network)
    graph = model.graph
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == OUTPUT:
                    names[place] = _FEATURES
    graph.initializer.extend([numpy_helper.from_array(mean, _MEAN), _external(whitening)])
    graph.node.extend(
        [
            helper.make_node("Sub", [_FEATURES, _MEAN], ["centred"]),
            # Positions first, so that each matrix is read once for the whole batch.
            helper.make_node("Transpose", ["centred"], ["by_position"], perm=[1, 0, 2]),
            helper.make_node("MatMul", ["by_position", _WHITENING], ["whitened"]),
            helper.make_node("ReduceL2", ["whitened"], ["lengths"], axes=[2], keepdims=1),
            helper.make_node("Transpose", ["lengths"], [OUTPUT], perm=[1, 0, 2]),
        ]
    )
    batch = graph.input[0].type.tensor_type.shape.dim[0].dim_param or 1
    del graph.output[:]
    shape = [batch, mean.shape[0], 1]
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, shape))
    save_graph(model, target)


def _external(array: Path) -> Any:
    """A constant whose values are those of a ``.npy`` file in the same directory."""
    from onnx import TensorProto

    with array.open("rb") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        offset = file.tell()
    assert dtype == np.float32
    tensor = TensorProto(name=_WHITENING, data_type=TensorProto.FLOAT, dims=shape)
    tensor.data_location = TensorProto.EXTERNAL
    length = 4 * int(np.prod(shape))
    for key, value in (("location", array.name), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
    return tensor
