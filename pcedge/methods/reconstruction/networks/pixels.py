"""Conversion of the network's input to the pixels that are reconstructed: downscaled, values from 0 to 1."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pcedge.core.preprocessing import Preprocessing


class Pixels(nn.Module):
    """Normalised images [n, 3, s, s] to pixels [n, 3, s / shrink, s / shrink] from 0 to 1."""

    def __init__(self, preprocessing: Preprocessing, shrink: int) -> None:
        super().__init__()
        self.shrink = shrink
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(preprocessing.mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(preprocessing.std)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Undo the normalisation and average square blocks of pixels."""
        return functional.avg_pool2d(images * self.std + self.mean, self.shrink)


class PixelRows(nn.Module):
    """The same as rows [n, pixels, 3], the form in which images are loaded."""

    def __init__(self, preprocessing: Preprocessing, shrink: int) -> None:
        super().__init__()
        self.pixels = Pixels(preprocessing, shrink)

    def forward(self, images: Tensor) -> Tensor:
        """Map images [n, 3, s, s] to rows of pixels."""
        rows: Tensor = self.pixels(images).flatten(2).transpose(1, 2)
        return rows


class ReconstructionDetector(nn.Module):
    """The complete network of a method: normalised images to residuals.

    Args:
        preprocessing: How the images were normalised.
        shrink: Downscaling factor of the sides.
        core: Maps pixels to [n, cells, 1] or, with the image's score, [n, cells + 1, 1].
    """

    def __init__(self, preprocessing: Preprocessing, shrink: int, core: nn.Module) -> None:
        super().__init__()
        self.pixels = Pixels(preprocessing, shrink)
        self.core = core

    def forward(self, images: Tensor) -> Tensor:
        """Map images [n, 3, s, s] to the residuals of their pixels."""
        residuals: Tensor = self.core(self.pixels(images))
        return residuals
