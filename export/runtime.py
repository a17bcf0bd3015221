"""What every runtime promises: the same three verbs, whatever runs the network."""

from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Runtime(Protocol):
    """A loaded embedder. Open it by ``with``, call ``infer``, and leave the block to release it."""

    @property
    def name(self) -> str:
        """What runs the network and where, for people: ``onnxruntime (CPU)``."""

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
