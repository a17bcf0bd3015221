"""The embedder as a PyTorch module: built for a fit, stored in a bundle, restored from it."""

from pathlib import Path

import torch

from pcedge.bundles.manifest import BackboneInfo, EmbeddingKind, Manifest
from pcedge.core.defaults import COMPACT
from pcedge.core.preprocessing import Preprocessing
from pcedge.errors import BundleError, OptionError

from .backbones import Backbone, read_state, restore_backbone, state_digest, used_state
from .patch_embedding import REFERENCE_DIMS, PatchEmbedder

_DIMS = {"reference": REFERENCE_DIMS, "mean": None}


def default_embedding(backbone: str) -> EmbeddingKind:
    """The embedding for a backbone where none is named: for ``pcedge-s`` the one it was trained for."""
    return "mean" if backbone == COMPACT else "reference"


def build_embedder(
    backbone: torch.nn.Module, preprocessing: Preprocessing, kind: EmbeddingKind
) -> PatchEmbedder:
    """Put neighbourhood pooling on a truncated backbone; the grids are found by running it once.

    Raises:
        OptionError: The layers' grids do not suit each other.
    """
    return PatchEmbedder(backbone, layer_shapes(backbone, preprocessing.input_size), _DIMS[kind])


def layer_shapes(backbone: torch.nn.Module, size: int) -> list[tuple[int, int, int]]:
    """Shape (channels, height, width) of each layer's map for square images, found by running it once.

    Raises:
        OptionError: The layers' grids do not suit each other.
    """
    with torch.inference_mode():
        features = backbone(torch.zeros(1, 3, size, size))
    # Of a square image a map [n, channels, h, w] is square; transformers give [n, tokens, channels].
    if any(feature.ndim != 4 or feature.shape[2] != feature.shape[3] for feature in features):
        raise OptionError(
            "The layers must give maps [n, channels, h, w]; these give "
            + ", ".join(str(list(feature.shape)) for feature in features)
            + ".",
            "Name convolutional layers before the network's pooling.",
        )
    shapes = [(feature.shape[1], feature.shape[2], feature.shape[3]) for feature in features]
    if any(shape[1:] > shapes[0][1:] for shape in shapes[1:]):
        raise OptionError(
            "The first of the layers must have the finest grid; these have "
            + ", ".join(f"{h}x{w}" for _, h, w in shapes)
            + ".",
            "Name the layers in the order in which the network computes them.",
        )
    return shapes


def save_backbone(backbone: Backbone, path: Path) -> None:
    """Store the truncated backbone's tensors as safetensors."""
    save_tensors(used_state(backbone.module), path)


def save_tensors(state: dict[str, torch.Tensor], path: Path) -> None:
    """Store tensors as safetensors."""
    from safetensors.torch import save

    # Not its save_file, whose error on a full disk is none of the system's.
    path.write_bytes(save({name: value.contiguous() for name, value in state.items()}))


def restore_embedder(manifest: Manifest, backbone_file: Path) -> PatchEmbedder:
    """Rebuild the embedder a bundle was fitted with.

    Raises:
        BundleError: The stored weights are not those the manifest names.
    """
    backbone = restore_stored(manifest.backbone, backbone_file)
    kind: EmbeddingKind = "mean" if manifest.embedding.kind == "mean" else "reference"
    return build_embedder(backbone, manifest.preprocessing, kind)


def restore_stored(info: BackboneInfo, backbone_file: Path) -> torch.nn.Module:
    """Rebuild the truncated backbone that a bundle stores.

    Raises:
        BundleError: The stored weights are not those the manifest names.
    """
    state = read_state(backbone_file)
    if state_digest(state) != info.weights_sha256:
        raise BundleError(
            f"{backbone_file} does not hold the weights the bundle was fitted with.",
            "Restore the file, or fit the bundle again.",
        )
    return restore_backbone(info.name, info.layers, state)
