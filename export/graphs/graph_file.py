"""Reading, checking and writing of ONNX files, with errors that name the file."""

from pathlib import Path
from typing import TYPE_CHECKING

from pcedge.errors import ExportError, MissingExtraError

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

_AGAIN = "Write it again with: pcedge export"


def require_onnx(purpose: str) -> None:
    """Say which extra installs onnx where it is missing; ``purpose`` starts the sentence."""
    try:
        import onnx  # noqa: F401 (only whether it is there)
    except ImportError:
        raise MissingExtraError("onnx", "fit", purpose) from None


def read_graph(path: Path) -> "ModelProto":
    """Read an ONNX file; what it keeps in other files stays there.

    Raises:
        MissingExtraError: onnx is not installed.
        ExportError: The file is missing, truncated or something else.
    """
    require_onnx(f"Reading {path.name}")
    import onnx

    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf, which has no types, raises a class of its own
        raise ExportError(f"{path} cannot be read as an ONNX file ({error}).", _AGAIN) from error
    if not model.graph.node:
        raise ExportError(f"{path} is an ONNX file without a network.", _AGAIN)
    return model


def check_file(path: Path) -> None:
    """Pass a file through ONNX's checker with full shape inference.

    Raises:
        ExportError: It does not pass.
    """
    import onnx

    try:
        onnx.checker.check_model(path, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"The exported network is invalid: {error}.") from error


def save_graph(model: "ModelProto", target: Path) -> None:
    """Infer every type and shape anew, write the file in one piece, and check it.

    An existing file is replaced, not written into: it may be a link to one in use.

    Raises:
        ExportError: Types or shapes do not fit each other, or the checker refuses the file.
    """
    import onnx

    del model.graph.value_info[:]
    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        raise ExportError(f"The exported network is invalid: {error}.") from error
    target.unlink(missing_ok=True)
    onnx.save(inferred, target)
    check_file(target)


def lift_constants(graph: "GraphProto") -> None:
    """Turn constant nodes that hold a tensor into initializers, so that there is one kind of constant."""
    from onnx import helper

    kept = []
    for node in graph.node:
        value = next((attribute for attribute in node.attribute if attribute.name == "value"), None)
        if node.op_type != "Constant" or value is None:
            kept.append(node)
            continue
        tensor = helper.get_attribute_value(value)
        tensor.name = node.output[0]
        graph.initializer.append(tensor)
    del graph.node[:]
    graph.node.extend(kept)
