"""Protocols of the runtimes."""

from types import TracebackType
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


class Runtime(Protocol):
    """A loaded embedder. Open it by ``with``, call ``infer``, and leave the block to release it."""

    @property
    def name(self) -> str:
        """Display name of the runtime and device: ``onnxruntime (CPU)``."""

    def infer(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map images float32 [n, 3, s, s] to embeddings float32 [n, patches, dims].

        The result belongs to the caller.
        """

    def __enter__(self) -> "Runtime": ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class BoundBank(Protocol):
    """A bank that lies on a runtime's device, until nothing refers to it any more."""

    def infer_nearest(self, images: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the nearest bank row of every patch; the embeddings stay on the device.

        Args:
            images: float32 [n, 3, s, s].

        Returns:
            Squared distances, float32 [n, patches], and row numbers, int64 [n, patches], as those of
            ``search.onnx``. They belong to the caller.
        """


@runtime_checkable
class SearchingRuntime(Runtime, Protocol):
    """A runtime that searches too: only distances and rows come back from the device, not the embeddings."""

    def bind(self, bank_rows: NDArray[np.float32]) -> BoundBank:
        """Copy a bank, float32 [rows, dims], to the device; the network is not loaded again.

        Several may be bound at a time, one a product.

        Raises:
            RuntimeUnavailableError: The device has no room for it.
        """
