"""SPADE's network: images to rows of features."""

import torch
from torch import Tensor, nn


class SpadeNetwork(nn.Module):
    """Images to a global descriptor and the features of every layer of the pyramid.

    Args:
        backbone: Maps [n, 3, s, s] to one feature map per layer.
        pyramid: Number of layers, from the first, in the pyramid. The descriptor is the mean over the last
            layer.
    """

    def __init__(self, backbone: nn.Module, pyramid: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.pyramid = pyramid

    def forward(self, images: Tensor) -> Tensor:
        """Map images [n, 3, s, s] to rows [n, 1, length], as ``FeatureLayout`` describes them."""
        layers = self.backbone(images)
        parts = [layers[-1].mean(dim=(2, 3))]
        parts += [layer.flatten(2).transpose(1, 2).flatten(1) for layer in layers[: self.pyramid]]
        return torch.cat(parts, dim=1).unsqueeze(1)
