"""The nearest-neighbour search as ONNX, alone or behind the embedder; the bank is an input of both.

One file and one engine serve every product: a change of product swaps the bank's rows and nothing else.
"""

from pathlib import Path

from pcedge.errors import ExportError

from .graph_file import read_graph, require_onnx, save_graph
from .onnx_file import OPSET, OUTPUT

BANK, BANK_SQUARED_NORMS = "bank", "bank_squared_norms"
SQUARED_DISTANCES, ROWS = "squared_distances", "rows"

# The row is found by |b|^2 - 2 q.b, which is one product and orders rows as distances do. Its rounding grows
# with the norms, so that the distance itself is computed from the differences: exact, never negative.
_GRAPH = """
<ir_version: {ir_version}, opset_import: ["" : {opset}], producer_name: "pcedge">
search (
    float[batch, patches, {dims}] {embeddings},
    float[bank_rows, {dims}] {bank},
    float[bank_rows] {bank_squared_norms}
) => (float[batch, patches] {squared_distances}, int64[batch, patches] {rows}) {{
    search_minus_two = Constant <value = float {{-2.0}}> ()
    search_scaled = Mul ({embeddings}, search_minus_two)
    search_columns = Transpose <perm = [1, 0]> ({bank})
    search_products = MatMul (search_scaled, search_columns)
    search_order = Add (search_products, {bank_squared_norms})
    {rows} = ArgMin <axis = -1, keepdims = 0> (search_order)
    search_nearest = Gather <axis = 0> ({bank}, {rows})
    search_differences = Sub ({embeddings}, search_nearest)
    {squared_distances} = ReduceSumSquare <axes = [-1], keepdims = 0> (search_differences)
}}
"""
# Of opset 17.
_IR_VERSION = 8


def write_search(path: Path, dims: int) -> None:
    """Write ``search.onnx``: embeddings and a bank in, the nearest rows and their distances out.

    Inputs: ``embeddings`` float32 [batch, patches, dims], ``bank`` float32 [bank_rows, dims] and
    ``bank_squared_norms`` float32 [bank_rows]. Outputs: ``squared_distances`` float32 and ``rows`` int64,
    both [batch, patches]. The distance of an embedding that is not finite is not finite either, and its row
    means nothing. Of rows that are equally near, any may be named.

    Memory: batch * patches * bank_rows float32 values; a caller that has less searches fewer patches a call.

    Args:
        path: Where to write; an existing file is replaced.
        dims: Values an embedding.

    Raises:
        MissingExtraError: onnx is not installed.
    """
    require_onnx("Writing the search")
    from onnx import parser

    text = _GRAPH.format(
        ir_version=_IR_VERSION,
        opset=OPSET,
        dims=dims,
        embeddings=OUTPUT,
        bank=BANK,
        bank_squared_norms=BANK_SQUARED_NORMS,
        squared_distances=SQUARED_DISTANCES,
        rows=ROWS,
    )
    save_graph(parser.parse_model(text), path)


def write_fused(embedder: Path, search: Path, target: Path) -> None:
    """Join an embedder and ``search.onnx``: images and a bank in, rows and distances out.

    The embeddings never leave the device. Inputs: ``images`` float32 [batch, 3, s, s], ``bank`` and
    ``bank_squared_norms``; outputs as of ``search.onnx``. Whatever the embedder's precision, its output and
    the search are float32.

    Args:
        embedder: An embedder in any precision.
        search: What ``write_search`` wrote for the same dims.
        target: Where to write; an existing file is replaced.

    Raises:
        MissingExtraError: onnx is not installed.
        ExportError: A file cannot be read, or the two do not fit each other.
    """
    require_onnx("Joining networks")
    from onnx import compose

    first, second = read_graph(embedder), read_graph(search)
    second.ir_version = first.ir_version
    del second.opset_import[:]
    second.opset_import.extend(first.opset_import)
    try:
        joined = compose.merge_models(first, second, io_map=[(OUTPUT, OUTPUT)], producer_name="pcedge")
    except ValueError as error:
        raise ExportError(
            f"{embedder.name} and {search.name} cannot be joined ({error}).",
            "Write both again with: pcedge export",
        ) from error
    save_graph(joined, target)
