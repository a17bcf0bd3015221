"""A network of a sweep, ready to run, with its cache of features."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pcedge.core.defaults import default_cache_directory
from pcedge.core.preprocessing import Preprocessing
from pcedge.errors import MissingExtraError
from pcedge.export import Runtime, TorchRuntime
from pcedge.fitting.feature_cache import FeatureCache, embedder_key
from pcedge.fitting.features import BATCH
from pcedge.fitting.memory import GIGA

if TYPE_CHECKING:
    from pcedge.bundles.manifest import EmbeddingKind
    from pcedge.networks.backbones import Backbone
    from pcedge.networks.patch_embedding import PatchEmbedder


@dataclass(frozen=True, eq=False)
class SweepNetwork:
    """A backbone at one image size.

    Attributes:
        backbone: Architecture.
        preprocessing: Whole images, resized.
        runtime: Runs it.
        grid_hw: Grid of patches.
        dims: Values a patch.
        cache: Of its features.
    """

    backbone: str
    preprocessing: Preprocessing
    runtime: Runtime
    grid_hw: tuple[int, int]
    dims: int
    cache: FeatureCache

    @property
    def shape(self) -> tuple[int, int]:
        """Patches an image and values a patch."""
        return (self.grid_hw[0] * self.grid_hw[1], self.dims)


@dataclass(frozen=True, eq=False)
class LoadedEmbedder:
    """A backbone with its pooling, in PyTorch.

    Attributes:
        backbone: The network.
        embedder: With the pooling.
        kind: Of the pooling.
        preprocessing: Whole images, resized.
    """

    backbone: "Backbone"
    embedder: "PatchEmbedder"
    kind: "EmbeddingKind"
    preprocessing: Preprocessing


def load_embedder(name: str, image_size: int, weights: Path | None) -> LoadedEmbedder:
    """Load a backbone for whole images of a size, with the pooling that it has by default.

    Raises:
        ModuleNotFoundError: PyTorch is missing.
        PcedgeError: The backbone or its weights cannot be used.
    """
    from pcedge.networks.backbones import load_backbone, preprocessing_for
    from pcedge.networks.embedder import build_embedder, default_embedding

    preprocessing = preprocessing_for(name, Preprocessing(image_size=image_size))
    backbone = load_backbone(name, weights_file=weights, size=image_size)
    kind = default_embedding(name)
    return LoadedEmbedder(backbone, build_embedder(backbone.module, preprocessing, kind), kind, preprocessing)


def load_network(
    name: str, image_size: int, weights: Path | None, device: str, cache_gb: float
) -> SweepNetwork:
    """Load a backbone for whole images of a size.

    Raises:
        PcedgeError: PyTorch is missing, or the backbone or its weights cannot be used.
    """
    try:
        loaded = load_embedder(name, image_size, weights)
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "torch", "fit", "A sweep") from None
    backbone, embedder, preprocessing = loaded.backbone, loaded.embedder, loaded.preprocessing
    runtime = TorchRuntime(embedder, device)
    key = embedder_key(
        backbone=backbone.name,
        layers=backbone.layers,
        weights_sha256=backbone.weights_sha256,
        embedding=loaded.kind,
        preprocessing=preprocessing,
        runtime=runtime.name,
        batch=BATCH,
    )
    shape = (embedder.patches, embedder.dims)
    cache = FeatureCache(default_cache_directory(), int(cache_gb * GIGA), key, shape)
    return SweepNetwork(name, preprocessing, runtime, embedder.grid_hw, embedder.dims, cache)
