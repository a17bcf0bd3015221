"""TensorRT runtime of the fused network, with the bank in device memory."""

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcedge.errors import RuntimeUnavailableError

from ..graphs.bank_on_device import explain_memory, squared_norms
from ..graphs.onnx_file import INPUT, OUTPUT
from ..graphs.search_graph import BANK, BANK_SQUARED_NORMS, ROWS, SQUARED_DISTANCES
from .tensorrt_library import first_line
from .tensorrt_runtime import TENSORRT, EngineKind, TensorrtRuntime


class TensorrtSearchingRuntime(TensorrtRuntime):
    """Runs an engine that was built from the fused network; as ``TensorrtRuntime``."""

    def __init__(self, engine_path: Path, kind: EngineKind = TENSORRT) -> None:
        # Before opening, which runs once.
        self._no_bank: dict[str, NDArray[np.float32]] | None = None
        super().__init__(engine_path, kind)

    def infer(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map images float32 [n, 3, s, s] to embeddings float32 [n, patches, dims]."""
        if self._no_bank is None:  # the smallest there is: the engine asks for one
            smallest = {name: self.info.inputs[name][0] for name in (BANK, BANK_SQUARED_NORMS)}
            self._no_bank = {name: np.zeros(shape, np.float32) for name, shape in smallest.items()}
        return np.array(self._run({INPUT: images, **self._no_bank})[OUTPUT], np.float32)

    def bind(self, bank_rows: NDArray[np.float32]) -> "TensorrtBoundBank":
        """Copy a bank, float32 [rows, dims], to the device.

        Raises:
            RuntimeUnavailableError: The engine was built for fewer rows or other dims, or memory is short.
        """
        most = self.info.inputs[BANK][2]
        if len(bank_rows) > most[0] or bank_rows.shape[1] != most[1]:
            raise RuntimeUnavailableError(
                f"The engine takes banks of at most {most[0]:,} rows of {most[1]} values, not "
                f"{len(bank_rows):,} of {bank_rows.shape[1]}.",
                f"Build it for this bank with: {self._kind.command}",
            )
        return TensorrtBoundBank(self._run, bank_rows)


class TensorrtBoundBank:
    """A bank in the memory of a GPU; as ``BoundBank``."""

    def __init__(self, run: Callable[..., dict[str, Any]], bank_rows: NDArray[np.float32]) -> None:
        rows = np.ascontiguousarray(bank_rows, np.float32)
        self._run = run
        self._bank: dict[str, Any] = {}
        # Device arrays do not free themselves; at the end of the process the driver does it.
        weakref.finalize(self, _free, self._bank).atexit = False
        try:
            for name, values in ((BANK, rows), (BANK_SQUARED_NORMS, squared_norms(rows))):
                self._bank[name] = _device_array(values)
        except Exception as error:  # Polygraphy raises a class of its own
            needed, hint = explain_memory(*bank_rows.shape)
            raise RuntimeUnavailableError(
                f"The bank cannot be copied to the GPU ({first_line(error)}). {needed}", hint
            ) from error

    def infer_nearest(self, images: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the nearest bank row of every patch: distances and row numbers [n, patches]."""
        feed = {INPUT: images, **self._bank}
        # What stays on the device are the embeddings; each of the two is copied to the host for itself.
        found = self._run(feed, copy_outputs_to_host=False)
        distances: NDArray[np.float32] = found[SQUARED_DISTANCES].numpy()
        rows: NDArray[np.int64] = found[ROWS].numpy().astype(np.int64, copy=False)  # TensorRT 8.6: int32
        return distances, rows


def _device_array(values: NDArray[np.float32]) -> Any:
    from polygraphy.cuda import DeviceArray

    array = DeviceArray(shape=values.shape, dtype=values.dtype)
    array.copy_from(values)
    return array


def _free(arrays: dict[str, Any]) -> None:
    for array in arrays.values():
        array.free()
