"""ONNX graph of the search with the bank as a constant, for inference servers."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcedge.errors import ExportError

from .bank_on_device import squared_norms
from .graph_file import require_onnx, save_graph
from .search_graph import BANK, BANK_SQUARED_NORMS, SQUARED_DISTANCES, search_model

SCORE = "score"
# Protobuf ends at 2 GiB; the graph beside the bank is small.
_LARGEST_BYTES = 2**31 - 2**20


def write_bank_search(path: Path, bank_rows: NDArray[np.float32]) -> None:
    """Write the search for the nearest of given rows, and the image score.

    Input: ``embeddings`` float32 [batch, patches, dims]. Outputs: ``score`` float32 [batch, 1], the largest
    of an image's distances, and those of ``search.onnx``. A score is not finite if any distance is not.

    Args:
        path: Where to write; an existing file is replaced.
        bank_rows: float32 [rows, dims].

    Raises:
        MissingExtraError: onnx is not installed.
        ExportError: The bank is too large for an ONNX file.
    """
    require_onnx("Writing the search")
    from onnx import helper, numpy_helper

    if bank_rows.nbytes > _LARGEST_BYTES:
        raise ExportError(
            f"A bank of {len(bank_rows):,} rows ({bank_rows.nbytes / 1e9:.1f} GB) does not fit into an ONNX "
            "file, which ends at 2 GB.",
            "Fit with a smaller --coreset.",
        )
    model = search_model(bank_rows.shape[1])
    graph = model.graph
    del graph.input[1:]
    graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(bank_rows), BANK))
    graph.initializer.append(numpy_helper.from_array(squared_norms(bank_rows), BANK_SQUARED_NORMS))
    # The largest value alone would hide one that is not a number; nought times their sum does not.
    graph.node.extend(
        [
            helper.make_node("ReduceMax", [SQUARED_DISTANCES], ["score_largest"], axes=[-1], keepdims=1),
            helper.make_node("Mul", [SQUARED_DISTANCES, "score_nought"], ["score_noughts"]),
            helper.make_node("ReduceMean", ["score_noughts"], ["score_check"], axes=[-1], keepdims=1),
            helper.make_node("Add", ["score_largest", "score_check"], [SCORE]),
        ]
    )
    graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), "score_nought"))
    graph.output.insert(0, helper.make_tensor_value_info(SCORE, 1, ["batch", 1]))
    save_graph(model, path)
