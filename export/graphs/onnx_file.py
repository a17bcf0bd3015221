"""Export of a PyTorch module to an ONNX file."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from pcedge.errors import ExportError, MissingExtraError

from .graph_file import check_file, require_onnx

if TYPE_CHECKING:
    from torch import Tensor, nn

INPUT, OUTPUT = "images", "embeddings"
# Understood by TensorRT 8.6 to 11 and every ONNX Runtime in use.
OPSET = 17


def write_onnx(module: "nn.Module", example: "Tensor", path: Path) -> None:
    """Write a module as ONNX: opset 17, fixed image size, any batch size; then check the file.

    Args:
        module: Maps images [n, 3, s, s] to embeddings [n, patches, dims].
        example: A batch of images [n, 3, s, s].
        path: Where to write; an existing file is replaced.

    Raises:
        ExportError: ONNX has no such operator, or the file does not pass ONNX's checker with full shape
            inference.
    """
    require_onnx("Writing ONNX files")
    try:
        import torch
    except ImportError:
        raise MissingExtraError("torch", "fit", "Writing ONNX files") from None
    path.unlink(missing_ok=True)
    with warnings.catch_warnings(), torch.inference_mode():
        # The TorchScript exporter writes opset 17 itself; its successor starts at 18 and converts down,
        # "which may not be successful". It warns of its age on every call.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        try:
            torch.onnx.export(
                module.eval(),
                (example,),
                path,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_axes={INPUT: {0: "batch"}, OUTPUT: {0: "batch"}},
                opset_version=OPSET,
                dynamo=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise ExportError(
                f"This network cannot be written as ONNX: {str(error).splitlines()[0]}.",
                "Choose another --backbone or other --layers; watch runs it with --runtime torch.",
            ) from error
    check_file(path)
