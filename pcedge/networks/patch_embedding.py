"""The patch embedding in closed form (ALGORITHM of the paper: section 3.1, locally aware patch features).

The reference implementation unfolds 3x3 neighbourhoods, pools every layer's C * 9 values to D by adaptive
averaging, and pools the stacked layers to D once more. All of it is linear, so per layer it equals one
grouped 3x3 convolution with fixed weights: no unfolding, a fraction of the time, plain operators in ONNX.
"""

from collections.abc import Sequence
from math import gcd

import torch
from torch import Tensor, nn
from torch.nn import functional

REFERENCE_DIMS = 1024


class NeighbourhoodPooling(nn.Module):
    """A layer's 3x3 neighbourhoods, averaged to ``dims`` values a patch.

    Equals unfold (3x3, zero padding), ``adaptive_avg_pool1d`` of the C * 9 values in channel-major order
    to ``dims * merge`` values, then the mean of every ``merge`` neighbouring values.

    Args:
        shape_chw: C, the layer's channels, and its grid.
        dims: Values a patch in the output.
        merge: How many neighbouring values of the first pooling become one.
    """

    def __init__(self, shape_chw: tuple[int, int, int], dims: int, merge: int = 1) -> None:
        super().__init__()
        channels = shape_chw[0]
        groups = gcd(channels, dims)
        kernel = _pooling_kernel(channels // groups, dims // groups, merge)
        # Where all channels of a group share one kernel, averaging them first saves most of the work.
        self.average_channels = channels // groups if _same_for_all_channels(kernel) else 1
        if self.average_channels > 1:
            kernel = kernel.sum(dim=1, keepdim=True)
        self.groups = groups
        # In numbers: sizes that a graph computes from a tensor's shape are not known to a builder of engines.
        self.grouped = (-1, channels // self.average_channels, self.average_channels, *shape_chw[1:])
        self.weight: Tensor
        self.register_buffer("weight", kernel.repeat(groups, 1, 1, 1), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map [n, channels, h, w] to [n, dims, h, w]."""
        if self.average_channels > 1:
            features = features.reshape(self.grouped).mean(dim=2)
        return functional.conv2d(features, self.weight, padding=1, groups=self.groups)


class MeanPooling(nn.Module):
    """The plain 3x3 mean of each channel (zeros included), as other implementations use."""

    def forward(self, features: Tensor) -> Tensor:
        """Map [n, channels, h, w] to the same shape."""
        return functional.avg_pool2d(features, kernel_size=3, stride=1, padding=1)


class PatchEmbedder(nn.Module):
    """Images to patch embeddings: backbone, neighbourhood pooling, one grid for all layers.

    Args:
        backbone: Maps [n, 3, s, s] to one feature map a layer, the finest first.
        shapes_chw: Shape (channels, height, width) of each of these feature maps.
        dims: 1024 as in the reference, or None for the plain 3x3 mean of each layer, concatenated.
    """

    def __init__(
        self,
        backbone: nn.Module,
        shapes_chw: Sequence[tuple[int, int, int]],
        dims: int | None = REFERENCE_DIMS,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        channels = [shape[0] for shape in shapes_chw]
        self.grid_hw = shapes_chw[0][1:]
        self.patches = self.grid_hw[0] * self.grid_hw[1]
        self.resize_layer = [shape[1:] != self.grid_hw for shape in shapes_chw]
        self.dims = sum(channels) if dims is None else dims
        layers = len(channels)
        # Where the layer count divides D, the second pooling never mixes layers and is folded into the first.
        folds = dims is not None and dims % layers == 0
        self.mix_layers = 1 if dims is None or folds else layers
        self.poolings = nn.ModuleList(
            MeanPooling()
            if dims is None
            else NeighbourhoodPooling(shape, dims // layers if folds else dims, layers if folds else 1)
            for shape in shapes_chw
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images [n, 3, s, s] to embeddings [n, patches, dims], patches in row-major order."""
        layers = [
            self._on_first_grid(pool(features), resize)
            for pool, features, resize in zip(
                self.poolings, self.backbone(images), self.resize_layer, strict=True
            )
        ]
        rows = torch.cat(layers, dim=1).reshape(-1, self.dims * self.mix_layers, self.patches)
        if self.mix_layers > 1:
            rows = rows.reshape(-1, self.dims, self.mix_layers, self.patches).mean(dim=2)
        return rows.transpose(1, 2)

    def _on_first_grid(self, features: Tensor, resize: bool) -> Tensor:
        if not resize:
            return features
        return functional.interpolate(features, size=self.grid_hw, mode="bilinear", align_corners=False)


def _pooling_kernel(channels: int, dims: int, merge: int) -> Tensor:
    """Weights [dims, channels, 3, 3] of both poolings: the poolings themselves, applied to the identity."""
    taps = torch.eye(channels * 9, dtype=torch.float64)
    pooled = functional.adaptive_avg_pool1d(taps, dims * merge)
    merged = pooled.reshape(-1, dims, merge).mean(dim=2)
    return merged.T.reshape(dims, channels, 3, 3).float()


def _same_for_all_channels(kernel: Tensor) -> bool:
    return kernel.shape[1] > 1 and bool(torch.equal(kernel, kernel[:, :1].expand_as(kernel)))
