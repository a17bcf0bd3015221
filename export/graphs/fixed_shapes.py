"""Shape inference of an ONNX file with fixed dynamic sizes."""

from pathlib import Path

from pcedge.errors import ExportError

from .graph_file import read_graph, require_onnx


def fixed_shapes(path: Path, **sizes: int) -> dict[str, tuple[int, ...]]:
    """Infer the shape of every tensor of an ONNX file for fixed sizes.

    Args:
        path: The ONNX file.
        sizes: Value of each free size, by its name in the file: ``batch=1, bank_rows=1481``.

    Returns:
        Shapes of the outputs, by name.

    Raises:
        MissingExtraError: onnx is not installed.
        ExportError: A size has no value, shapes contradict each other, or one cannot be known beforehand.
    """
    require_onnx(f"Reading {path.name}")
    from onnx import shape_inference

    model = read_graph(path)
    graph = model.graph
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param in sizes:
                size.dim_value = sizes[size.dim_param]
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        graph = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    except shape_inference.InferenceError as error:
        raise ExportError(f"{path.name} contradicts itself for {sizes}: {error}.") from error
    shapes = {
        value.name: tuple(
            size.dim_value if size.HasField("dim_value") else -1 for size in value.type.tensor_type.shape.dim
        )
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    for name in (name for node in graph.node for name in node.output if name):
        if -1 in shapes.get(name, (-1,)):
            raise ExportError(
                f"The shape of {name!r} in {path.name} is not known beforehand, even for {sizes}.",
                "Use it with --runtime onnx, or choose another --backbone.",
            )
    return {value.name: shapes[value.name] for value in graph.output}
