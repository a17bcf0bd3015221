"""The nearest-neighbour search as ONNX, alone or behind the embedder; the bank is an input of both.

One file and one engine serve every product: a change of product swaps the bank's rows and nothing else.

Behind the embedder, the search is a part of a file: a few hundred bytes which, written after those of an
embedder of any precision, make one ONNX file of the two. (ONNX files are protobuf messages, and of two that
follow each other protobuf makes one, lists appended.) So a bundle needs no second copy of the weights, and
a device no library to put the two together.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from pcedge.errors import ExportError

from .fixed_shapes import fixed_shapes
from .graph_file import check_file, read_graph, require_onnx, save_graph
from .onnx_file import OPSET, OUTPUT

if TYPE_CHECKING:
    from onnx import ModelProto

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
    save_graph(search_model(dims), path)


def write_search_part(path: Path, dims: int) -> None:
    """Write what, after an embedder's bytes, makes one network of embedder and search.

    Args:
        path: Where to write; an existing file is replaced.
        dims: Values an embedding.

    Raises:
        MissingExtraError: onnx is not installed.
    """
    require_onnx("Writing the search")
    from onnx import ModelProto

    part = ModelProto()
    part.graph.CopyFrom(search_model(dims).graph)
    part.graph.ClearField("name")  # the embedder's stays
    del part.graph.input[0]  # the embeddings, which the embedder gives
    path.unlink(missing_ok=True)
    path.write_bytes(part.SerializeToString(deterministic=True))


def fuse(embedder: Path, part: Path) -> bytes:
    """Join an embedder and the search: images and a bank in, rows and distances out, in one ONNX file.

    The embeddings never leave the device. Inputs: ``images`` float32 [batch, 3, s, s], ``bank`` and
    ``bank_squared_norms``; outputs as of ``search.onnx``, and before them ``embeddings``. Whatever the
    embedder's precision, its output and the search are float32.

    Args:
        embedder: An embedder in any precision.
        part: What ``write_search_part`` wrote for the same dims.

    Raises:
        ExportError: A file cannot be read.
    """
    try:
        return embedder.read_bytes() + part.read_bytes()
    except OSError as error:
        raise ExportError(
            f"{error.filename} cannot be read ({error.strerror}).", "Write it again with: pcedge export"
        ) from error


def write_fused(embedder: Path, part: Path, target: Path) -> None:
    """Write what ``fuse`` makes as a file, byte by byte, and check it: every shape must be known.

    Raises:
        MissingExtraError: onnx is not installed.
        ExportError: A file cannot be read, or the two do not fit each other; nothing is left behind.
    """
    require_onnx("Joining networks")
    content = fuse(embedder, part)
    target.unlink(missing_ok=True)
    target.write_bytes(content)
    try:
        read_graph(target)
        check_file(target)
        fixed_shapes(target, batch=1, bank_rows=1)
    except ExportError as error:
        target.unlink()
        raise ExportError(
            f"{embedder.name} and {part.name} cannot be joined: {error.what}",
            "Write both again with: pcedge export",
        ) from error


def search_model(dims: int) -> "ModelProto":
    """The search as a graph in memory, as ``write_search`` writes it."""
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
    return parser.parse_model(text)
