"""A network ready to embed images, and what a bundle says of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pcedge.bundles.manifest import BackboneInfo, EmbeddingInfo, Precision
from pcedge.core.preprocessing import Preprocessing
from pcedge.errors import WeightsUnavailableError
from pcedge.export import Runtime


@dataclass(frozen=True, eq=False)
class EmbeddingNetwork:
    """A network that turns images into patch embeddings.

    Attributes:
        runtime: Runs it.
        identity: What runs it and from which file, to the last bit: features are cached under it.
        device: Where the coreset is selected, as PyTorch names devices.
        preprocessing: How an image becomes its input.
        backbone: What a manifest says of the backbone.
        embedding: What a manifest says of the embeddings.
        write_files: Puts its files into the directory of a bundle.
        precision: In which it computes.
        offline_default: Why no backbone being named led to ``pcedge-s``, and how to get the larger one; None
            if it did not.
    """

    runtime: Runtime
    identity: str
    device: str
    preprocessing: Preprocessing
    backbone: BackboneInfo
    embedding: EmbeddingInfo
    write_files: Callable[[Path], None]
    precision: Precision = "fp32"
    offline_default: WeightsUnavailableError | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Patches an image and values a patch."""
        height, width = self.embedding.grid_hw
        return height * width, self.embedding.dims
