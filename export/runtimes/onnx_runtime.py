"""ONNX Runtime as a runtime."""

from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pcedge.errors import RuntimeUnavailableError

from ..graphs.onnx_file import INPUT, OUTPUT
from .onnx_session import TensorrtOptions, first_line, open_session

_Self = TypeVar("_Self", bound="OnnxRuntime")


class OnnxRuntime:
    """Runs ``embedder.onnx``.

    Args:
        path: The ONNX file.
        device: ``auto`` (CUDA where this build of ONNX Runtime has it), ``cpu``, ``cuda``, ``cuda:1``, or
            ``tensorrt`` for ONNX Runtime's TensorRT provider.
        tensorrt: Options of that provider.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
        RuntimeUnavailableError: The device does not exist here.
        ExportError: The file is not a usable network.
    """

    def __init__(self, path: Path, device: str = "auto", tensorrt: TensorrtOptions | None = None) -> None:
        self._session: Any = open_session(path, str(path), device, tensorrt)

    @property
    def name(self) -> str:
        """``onnxruntime`` and the execution provider in use."""
        provider = self._session.get_providers()[0].removesuffix("ExecutionProvider")
        return f"onnxruntime ({provider})"

    def infer(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map images float32 [n, 3, s, s] to embeddings float32 [n, patches, dims], or what else it gives."""
        return self._run({INPUT: images})

    def _run(self, feed: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        try:
            outputs = self._session.run([OUTPUT], feed)
        except Exception as error:  # ONNX Runtime raises a class of its own per error code
            raise RuntimeUnavailableError(
                f"ONNX Runtime could not run the network ({first_line(error)}).",
                "Check the free memory of the device, or use another --device or --runtime.",
            ) from error
        return np.asarray(outputs[0], np.float32)

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Release the session's memory."""
        del self._session
