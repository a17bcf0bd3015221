"""The embedded stand-in for a pretrained backbone: oriented filters and colour, nothing learned.

It needs no download, so that the demo and a first try work offline. Two orders of oriented energies, as in
a scattering transform (Bruna & Mallat 2013): it sees edges, texture, shape and colour, but it was never
trained, and a pretrained backbone tells parts apart better.
"""

from math import cos, pi, sin

import torch
from torch import Tensor, nn
from torch.nn import functional

ORIENTATIONS = 6
KERNEL = 7
# Luminance, red against green, blue against yellow: rows of an orthonormal matrix.
OPPONENT = ((0.577, 0.577, 0.577), (0.707, -0.707, 0.0), (0.408, 0.408, -0.816))
# Flat colour is a strong signal beside edges; this keeps both in the same range.
COLOUR_GAIN = 0.25
# Strong edges vary more from part to part than weak ones; the square root evens that out, down to here.
FLOOR = 3e-4


class FilterBank(nn.Module):
    """Images [n, 3, s, s] to ``layer2`` (stride 8) and ``layer3`` (stride 16), like a small ResNet."""

    def __init__(self) -> None:
        super().__init__()
        self.layer2 = OrientedEnergies()
        self.layer3 = SecondOrder(self.layer2.channels)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features of ``layer3``."""
        features: Tensor = self.layer3(self.layer2(images))
        return features


class OrientedEnergies(nn.Module):
    """Gabor energies of three colour channels at strides 1, 2 and 4, and mean colour, all at stride 8."""

    def __init__(self) -> None:
        super().__init__()
        gabors = _gabors()
        self.filters = len(gabors)
        self.channels = 3 * (3 * self.filters + 1)
        self.opponent: Tensor
        self.gabors: Tensor
        self.blur: Tensor
        self.register_buffer("opponent", torch.tensor(OPPONENT).reshape(3, 3, 1, 1))
        self.register_buffer("gabors", gabors.repeat(3, 1, 1).unsqueeze(1))
        self.register_buffer("blur", _gaussian(5, 1.0).repeat(3, 1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Map [n, 3, s, s] to [n, channels, s / 8, s / 8], rounded up."""
        level = functional.conv2d(images, self.opponent)
        energies = []
        for pooling in (8, 4, 2):
            edges = functional.conv2d(level, self.gabors, padding=KERNEL // 2, groups=3).abs()
            # ceil_mode: as many cells as the halvings leave, whatever the size.
            pooled = functional.avg_pool2d(edges, pooling, ceil_mode=True)
            energies.append(torch.sqrt(pooled + FLOOR))
            level = functional.conv2d(level, self.blur, stride=2, padding=2, groups=3)
        return torch.cat([*energies, COLOUR_GAIN * level], dim=1)


class SecondOrder(nn.Module):
    """How the first energies vary in space: their mean and their changes along x and y, at half the grid."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.kernel: Tensor
        blur = _gaussian(3, 0.8)
        difference = torch.tensor([[-0.5, 0.0, 0.5]])
        along_x = functional.pad(difference, (0, 0, 1, 1)).reshape(1, 3, 3)
        kernels = torch.stack([blur.reshape(1, 3, 3), along_x, along_x.transpose(1, 2)])
        self.register_buffer("kernel", kernels.repeat(channels, 1, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Map [n, channels, h, w] to [n, 3 * channels, h / 2, w / 2], rounded up."""
        return functional.conv2d(features, self.kernel, stride=2, padding=1, groups=self.channels).abs()


def _gabors() -> Tensor:
    """Odd and even Gabor filters of zero mean and unit L1 norm, [2 * ORIENTATIONS, KERNEL, KERNEL]."""
    half = KERNEL // 2
    y, x = torch.meshgrid(torch.arange(-half, half + 1.0), torch.arange(-half, half + 1.0), indexing="ij")
    envelope = torch.exp(-(x * x + y * y) / (2 * 1.6**2))
    filters = []
    for orientation in range(ORIENTATIONS):
        angle = pi * orientation / ORIENTATIONS
        phase = (x * cos(angle) + y * sin(angle)) * (2 * pi / 5.0)
        for wave in (torch.sin(phase), torch.cos(phase)):
            gabor = envelope * wave
            gabor = gabor - envelope * (gabor.sum() / envelope.sum())
            filters.append(gabor / gabor.abs().sum())
    return torch.stack(filters)


def _gaussian(size: int, sigma: float) -> Tensor:
    offsets = torch.arange(size) - (size - 1) / 2
    line = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = torch.outer(line, line)
    return (kernel / kernel.sum()).reshape(1, 1, size, size)
