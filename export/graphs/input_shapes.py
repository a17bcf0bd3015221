"""Input shapes of an engine: minimum, optimum and maximum."""

from .onnx_file import INPUT
from .search_graph import BANK, BANK_SQUARED_NORMS

# Smallest, usual and largest shape of an input. An engine is tuned for the usual one.
Shapes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def input_shapes(
    image_size: int, *, max_batch: int = 8, usual_batch: int = 1, largest_bank: tuple[int, int] | None = None
) -> dict[str, Shapes]:
    """Shapes of the inputs of an embedder, or of the fused network.

    Args:
        image_size: Side in pixels of the network's input.
        max_batch: Most images a call.
        usual_batch: How many images a call usually has.
        largest_bank: For the fused network: the most rows of a bank, for which it is tuned, and its dims.
    """
    image = (3, image_size, image_size)
    shapes: dict[str, Shapes] = {
        INPUT: ((1, *image), (min(usual_batch, max_batch), *image), (max_batch, *image))
    }
    if largest_bank is not None:
        rows, dims = largest_bank
        shapes[BANK] = ((1, dims), (rows, dims), (rows, dims))
        shapes[BANK_SQUARED_NORMS] = ((1,), (rows,), (rows,))
    return shapes
