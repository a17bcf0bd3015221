"""ONNX Runtime for the fused network, with the bank in device memory by I/O binding."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcedge.errors import RuntimeUnavailableError

from ..graphs.bank_on_device import explain_memory, squared_norms
from ..graphs.onnx_file import INPUT
from ..graphs.search_graph import BANK, BANK_SQUARED_NORMS, ROWS, SQUARED_DISTANCES, fuse
from .onnx_runtime import OnnxRuntime
from .onnx_session import TensorrtOptions, device_number, first_line, open_session


class OnnxSearchingRuntime(OnnxRuntime):
    """Runs an embedder and the search behind it.

    Args:
        embedder: The embedder's ONNX file, in any precision.
        part: The search, as ``write_search_part`` wrote it.
        device: As of ``OnnxRuntime``. On ``cpu`` it is right, but slower than a search of its own.
        tensorrt: Options of the TensorRT provider.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
        RuntimeUnavailableError: The device does not exist here.
        ExportError: The two files are not a usable network.
    """

    def __init__(
        self, embedder: Path, part: Path, device: str = "auto", tensorrt: TensorrtOptions | None = None
    ) -> None:
        name = f"{embedder} with {part.name}"
        self._session: Any = open_session(fuse(embedder, part), name, device, tensorrt)
        self._device = ("cuda", device_number(device)) if self.on_gpu else ("cpu", 0)
        dims = next(one.shape[1] for one in self._session.get_inputs() if one.name == BANK)
        # The network asks for a bank even if only embeddings are wanted: the smallest there is.
        self._no_bank = {
            BANK: np.zeros((1, dims), np.float32),
            BANK_SQUARED_NORMS: np.zeros(1, np.float32),
        }

    @property
    def on_gpu(self) -> bool:
        """Whether it runs on a GPU; asked to choose for itself, ONNX Runtime may have had to do without."""
        return bool(self._session.get_providers()[0] != "CPUExecutionProvider")

    def infer(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map images float32 [n, 3, s, s] to embeddings float32 [n, patches, dims]."""
        return self._run({INPUT: images, **self._no_bank})

    def bind(self, bank_rows: NDArray[np.float32]) -> "OnnxBoundBank":
        """Copy a bank, float32 [rows, dims], to the device."""
        return OnnxBoundBank(self._session, self._device, bank_rows)


class OnnxBoundBank:
    """A bank on the device of a session; as ``BoundBank``."""

    def __init__(self, session: Any, device: tuple[str, int], bank_rows: NDArray[np.float32]) -> None:
        from onnxruntime import OrtValue

        self._session = session
        self._binding = session.io_binding()
        rows = np.ascontiguousarray(bank_rows, np.float32)
        self._rows, self._dims = rows.shape
        bank = {BANK: rows, BANK_SQUARED_NORMS: squared_norms(rows)}
        try:
            # Kept, because on the CPU they are the arrays themselves, which the binding does not hold.
            self._bank = {name: OrtValue.ortvalue_from_numpy(bank[name], *device) for name in bank}
        except Exception as error:  # ONNX Runtime raises a class of its own per error code
            needed, hint = explain_memory(self._rows, self._dims)
            raise RuntimeUnavailableError(
                f"The bank cannot be copied to the device ({first_line(error)}). {needed}", hint
            ) from error
        for name, value in self._bank.items():
            self._binding.bind_ortvalue_input(name, value)

    def infer_nearest(self, images: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the nearest bank row of every patch: distances and row numbers [n, patches]."""
        binding = self._binding
        binding.bind_cpu_input(INPUT, np.ascontiguousarray(images))
        # Bound anew each time: what the last call bound has the last call's shape.
        binding.clear_binding_outputs()
        for name in (SQUARED_DISTANCES, ROWS):
            binding.bind_output(name)
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:  # ONNX Runtime raises a class of its own per error code
            raise self._explained(error, len(images)) from error
        distances, rows = binding.copy_outputs_to_cpu()
        return distances, rows

    def _explained(self, error: Exception, images: int) -> RuntimeUnavailableError:
        what = f"ONNX Runtime could not run the network ({first_line(error)})."
        if not re.search("memory|alloc", str(error), re.IGNORECASE):
            return RuntimeUnavailableError(what, "Use another --device or --runtime.")
        patches = self._session.get_outputs()[0].shape[1]
        at_once = patches * images if isinstance(patches, int) else None
        needed, hint = explain_memory(self._rows, self._dims, at_once)
        return RuntimeUnavailableError(f"{what} {needed}", hint)
