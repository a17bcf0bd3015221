"""The teacher: a pretrained network's patch embedding, turned to its principal components."""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from pcedge.core.preprocessing import Preprocessing
from pcedge.errors import OptionError
from pcedge.networks.backbones import can_teach, load_backbone
from pcedge.networks.embedder import build_embedder
from pcedge.networks.patch_embedding import MeanPooling

STRIDE = 8


class Teacher(nn.Module):
    """Images to the leading principal components of the ``mean`` embedding of a backbone.

    A rotation keeps all distances, and what the dropped components hold of them is small: squared distances
    between outputs approximate those between the backbone's own embeddings, from below.

    Args:
        name: A torchvision architecture.
        layers: Names of its modules, the finest grid first; empty for its default.
        weights: A state dict for it; None for torchvision's hub cache.
        size: Height and width of the images in pixels.
        dims: How many components to keep.

    Attributes:
        sha256: Digest of the backbone's tensors.
        layers: The layers used.
        rotation: Principal directions, [dims, sum of channels], largest variance first.
        offset: The embedding's mean in these directions, [dims].
        variance: Variance along each of them, [dims].
    """

    rotation: Tensor
    offset: Tensor
    variance: Tensor

    def __init__(
        self, name: str, layers: tuple[str, ...], weights: Path | None, *, size: int, dims: int
    ) -> None:
        super().__init__()
        if not can_teach(name):
            raise OptionError(
                f"{name} cannot be a teacher: a student's images are normalised as ImageNet's networks "
                "want them, and are eight pixels a patch.",
                "Choose a torchvision network, such as resnet18 or wide_resnet50_2.",
            )
        backbone = load_backbone(name, layers, weights)
        self.backbone = backbone.module
        self.layers = backbone.layers
        self.sha256 = backbone.weights_sha256
        embedder = build_embedder(backbone.module, Preprocessing(image_size=size), "mean")
        if embedder.grid_hw != (size // STRIDE, size // STRIDE) or embedder.dims < dims:
            raise OptionError(
                f"The layers {', '.join(self.layers)} of {name} give {embedder.dims} values on a grid of "
                f"{embedder.grid_hw[0]}; the student needs {dims} or more on a grid of {size // STRIDE}.",
                f"Choose layers whose finest has stride {STRIDE}.",
            )
        self._embedders = (embedder,)  # in a tuple, so that it is no second way to the same tensors
        with torch.inference_mode():
            self.channels = [maps.shape[1] for maps in self.backbone(torch.zeros(1, 3, size, size))]
        self.pool = MeanPooling()
        self.register_buffer("rotation", torch.zeros(dims, embedder.dims))
        self.register_buffer("offset", torch.zeros(dims))
        self.register_buffer("variance", torch.ones(dims))

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images [n, 3, s, s] to [n, dims, s / 8, s / 8]."""
        features = self.backbone(images)
        # The backbone may run in half precision; what is measured against its mean should not be rounded so.
        with torch.autocast(images.device.type, enabled=False):
            return self._rotated([one.float() for one in features])

    def components(self) -> dict[str, Tensor]:
        """What :meth:`fit` found, to be stored; :meth:`restore` takes it back."""
        return {"rotation": self.rotation, "offset": self.offset, "variance": self.variance}

    def restore(self, components: dict[str, Tensor]) -> None:
        """Take over what another teacher's :meth:`fit` found."""
        for name, value in components.items():
            getattr(self, name).copy_(value)

    @torch.inference_mode()
    def fit(self, batches: Iterable[Tensor]) -> None:
        """Find the principal components of the embedding of some normalised images."""
        (embedder,) = self._embedders
        device = self.offset.device
        total = torch.zeros(embedder.dims, dtype=torch.float64, device=device)
        products = torch.zeros(embedder.dims, embedder.dims, dtype=torch.float64, device=device)
        count = 0
        for images in batches:
            rows = embedder(images).flatten(0, 1)
            total += rows.sum(dim=0)
            products += rows.T @ rows
            count += len(rows)
        mean = total / count
        variances, directions = torch.linalg.eigh(products / count - torch.outer(mean, mean))
        kept = directions.flip(1)[:, : len(self.offset)].T
        # A direction's sign is arbitrary; this makes it the same wherever it is computed.
        signs = kept.gather(1, kept.abs().argmax(dim=1, keepdim=True)).sign()
        self.rotation.copy_(kept * signs)
        self.offset.copy_((kept * signs) @ mean)
        self.variance.copy_(variances.flip(0)[: len(self.offset)].clamp(min=1e-12))

    def _rotated(self, features: list[Tensor]) -> Tensor:
        # Rotating, pooling and resizing are all linear: rotated first, there is less to pool.
        rotations = torch.split(self.rotation, self.channels, dim=1)
        maps = [
            self.pool(functional.conv2d(one, rotation[:, :, None, None]))
            for one, rotation in zip(features, rotations, strict=True)
        ]
        grid = maps[0].shape[-2:]
        # At the border the pooling sees zeros: the offset goes through it like everything else.
        total: Tensor = maps[0] - self.pool(self.offset[:, None, None].expand(-1, *grid))
        for one in maps[1:]:
            total = total + functional.interpolate(one, size=grid, mode="bilinear", align_corners=False)
        return total
