"""An int8 copy of an ONNX file: static quantisation, written as QuantizeLinear and DequantizeLinear pairs."""

import contextlib
import io
from collections.abc import Iterable, Iterator
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from pcedge.errors import ExportError, MissingExtraError

from ..graphs.graph_file import read_graph, require_onnx, save_graph

if TYPE_CHECKING:
    from onnx import ModelProto

Int8Kind = Literal["tensorrt", "cpu"]

# Real images, ResNet-18: clipping one activation in 100,000 leaves a tenth less error than the full range,
# and as much less than the entropy method.
_PERCENTILE = 99.999
# Where a network ends in these alone, it computes weighted means of features. They cost next to nothing and
# their result is what distances are measured on: they stay in float32.
_LINEAR = {
    "AveragePool",
    "Concat",
    "Constant",
    "Conv",
    "Gather",
    "Identity",
    "ReduceMean",
    "Reshape",
    "Resize",
    "Shape",
    "Slice",
    "Transpose",
    "Unsqueeze",
}


def write_int8(
    source: Path,
    target: Path,
    calibration: Iterable[NDArray[np.float32]],
    *,
    kind: Int8Kind = "tensorrt",
) -> None:
    """Write an int8 copy of a float32 network; its input and output stay float32.

    Weights get a scale per channel, activations one per tensor from what they are on the calibration images.
    The averaging at the network's end stays in float32. A bank and a threshold must be made anew with it.

    Args:
        source: A float32 ONNX file.
        target: Where to write; an existing file is replaced.
        calibration: Nominal images as the network sees them, float32 [n, 3, s, s] each; tens are enough.
        kind: ``tensorrt``: symmetric activations, placed so that convolution, addition and ReLU fuse there.
            ``cpu``: activations with a zero point, twice as fast as float32 on CPUs with VNNI and more
            precise, which TensorRT does not take.

    Raises:
        MissingExtraError: onnx or ONNX Runtime is not installed.
        ExportError: There are no calibration images, they do not fit the network, or nothing in it can be
            quantised, or too little: convolutions are, and a transformer has its weights elsewhere.
    """
    require_onnx("Quantising")
    try:
        import onnxruntime  # noqa: F401 (a missing library must be found before anything is read)
    except ImportError:
        raise MissingExtraError("onnxruntime", "cpu", "Quantising") from None
    images = list(calibration)
    if not images:
        raise ExportError(
            "int8 needs images to calibrate on, and there are none.",
            "Give good images, such as those that the bundle was fitted on.",
        )
    model = read_graph(source)
    _name_nodes(model)
    tail = _linear_tail(model)
    if not any(node.op_type == "Conv" and node.name not in tail for node in model.graph.node):
        raise ExportError(f"Nothing in {source.name} can be quantised.", "Use the float32 file.")
    _refuse_transformer(model, source)
    with TemporaryDirectory(prefix="pcedge-int8-") as folder:
        quantised = _quantise(model, tail, images, kind, Path(folder))
    save_graph(quantised, target)


def _quantise(
    model: "ModelProto",
    tail: set[str],
    images: list[NDArray[np.float32]],
    kind: Int8Kind,
    folder: Path,
) -> "ModelProto":
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    plain, prepared, quantised = (folder / f"{stage}.onnx" for stage in ("plain", "prepared", "quantised"))
    onnx.save(model, plain)
    symmetric = kind == "tensorrt"
    try:
        # It reports its progress on the standard output, which belongs to the command.
        with contextlib.redirect_stdout(io.StringIO()):
            quant_pre_process(str(plain), str(prepared), skip_optimization=True, skip_symbolic_shape=True)
            quantize_static(
                str(prepared),
                str(quantised),
                _CalibrationReader(model.graph.input[0].name, images),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv"] if symmetric else ["Conv", "Add", "Relu", "MaxPool"],
                nodes_to_exclude=sorted(tail),
                per_channel=True,
                activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.Percentile,
                extra_options={
                    "ActivationSymmetric": symmetric,
                    "WeightSymmetric": True,
                    "QuantizeBias": False,  # TensorRT has no int32 DequantizeLinear
                    "OpTypesToExcludeOutputQuantization": ["Conv"] if symmetric else [],
                    "CalibPercentile": _PERCENTILE,
                    # One image at a time: every activation of all of them does not fit in memory.
                    "CalibStridedMinMax": 1,
                },
            )
    except Exception as error:  # ONNX Runtime raises a class of its own per error code
        raise ExportError(
            f"The network could not be quantised ({str(error).splitlines()[0]}).",
            f"The calibration images must be float32 [n, 3, s, s]; the first is {images[0].dtype} "
            f"{list(images[0].shape)}.",
        ) from error
    result = onnx.load(quantised)
    if symmetric:
        _feed_exact(result, tail)
    used = {node.domain for node in result.graph.node}
    kept = [opset for opset in result.opset_import if opset.domain in used]
    del result.opset_import[:]
    result.opset_import.extend(kept)
    return result


def _refuse_transformer(model: "ModelProto", source: Path) -> None:
    """Refuse a network whose weights are mostly in matrix products: it would gain nothing from int8 here."""
    sizes = {tensor.name: prod(tensor.dims) for tensor in model.graph.initializer}
    convolved, multiplied = (
        sum(sizes.get(name, 0) for node in model.graph.node if node.op_type in kinds for name in node.input)
        for kinds in (("Conv",), ("MatMul", "Gemm"))
    )
    if multiplied > convolved:
        raise ExportError(
            f"int8 quantises convolutions, and {multiplied / (convolved + multiplied):.0%} of the weights in "
            f"{source.name} are in matrix products: it is a transformer.",
            "Use float32 or fp16 for it, or a convolutional backbone for int8.",
        )


class _CalibrationReader:
    """Calibration images in the form that ONNX Runtime asks for."""

    def __init__(self, name: str, images: list[NDArray[np.float32]]) -> None:
        self._name, self._images = name, images
        self._left: Iterator[NDArray[np.float32]] = iter(images)

    def __len__(self) -> int:
        return len(self._images)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Hand out only these images from now on."""
        self._left = iter(self._images[start_index:end_index])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next feed, or None after the last."""
        image = next(self._left, None)
        return None if image is None else {self._name: image}


def _name_nodes(model: "ModelProto") -> None:
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"


def _linear_tail(model: "ModelProto") -> set[str]:
    """Names of the nodes between the last non-linear ones and the output."""
    producers: dict[str, Any] = {name: node for node in model.graph.node for name in node.output}
    waiting, tail = [value.name for value in model.graph.output], set[str]()
    while waiting:
        node = producers.get(waiting.pop())
        if node is not None and node.op_type in _LINEAR and node.name not in tail:
            tail.add(node.name)
            waiting.extend(node.input)
    return tail


def _feed_exact(model: "ModelProto", names: set[str]) -> None:
    """Feed these nodes with what an activation was before it was rounded for the convolution beside them."""
    rounded = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    exact = {
        node.output[0]: rounded[node.input[0]]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in rounded
    }
    for node in model.graph.node:
        if node.name in names:
            for i, name in enumerate(node.input):
                node.input[i] = exact.get(name, name)
