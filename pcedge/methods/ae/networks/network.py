"""The autoencoder's network (Bergmann et al. 2018, table 1) and its residuals."""

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from pcedge.networks.backward import backward

from ..settings import AeSettings

_SLOPE = 0.2
# Output channels, kernel and stride of the encoder's convolutions; the decoder reverses them.
_LAYERS = (
    (32, 4, 2),
    (32, 4, 2),
    (32, 3, 1),
    (64, 4, 2),
    (64, 3, 1),
    (128, 4, 2),
    (64, 3, 1),
    (32, 3, 1),
)
_WINDOW, _SIGMA = 11, 1.5
# Wang et al. 2004: constants for values from 0 to 1.
_C1, _C2 = 0.01**2, 0.03**2


class AeCore(nn.Module):
    """Pixels to residuals: the difference between an image and its reconstruction from a latent code.

    Args:
        latent: Number of values of the latent code.
        side: Side of the images in pixels, a multiple of 16.
        loss: ``ssim`` or ``l2``.
    """

    def __init__(self, latent: int, side: int, loss: str) -> None:
        super().__init__()
        self.encoder, self.decoder = _encoder(latent, side // 16), _decoder(latent, side // 16)
        _initialise(self.encoder)
        _initialise(self.decoder)
        self.cells = side * side
        self.compare = Dissimilarity() if loss == "ssim" else _squared

    def forward(self, pixels: Tensor) -> Tensor:
        """Map pixels [n, 3, side, side] to residuals [n, side * side, 1]."""
        return self.residuals(pixels).reshape(-1, self.cells, 1)

    def residuals(self, pixels: Tensor) -> Tensor:
        """The residual of each pixel, [n, 3, side, side] averaged over channels to [n, side, side]."""
        residuals: Tensor = self.compare(pixels, self.draw(pixels)).mean(dim=1)
        return residuals

    def draw(self, pixels: Tensor) -> Tensor:
        """Reconstructed images, [n, 3, side, side]."""
        drawn: Tensor = self.decoder(self.encoder(pixels))
        return drawn


class Dissimilarity(nn.Module):
    """One minus the structural similarity of two images around each pixel, per channel (Wang et al. 2004).

    Computed from their difference d: the luminance term is 1 - m(d)^2 / (m(x)^2 + m(y)^2 + C1), the other
    term 1 - var(d) / (var(x) + var(y) + C2), after subtracting the first image's mean from both. The usual
    form loses far more digits in bright, flat areas, and runtimes would disagree there. Outside of the images
    both are padded with that mean.
    """

    def __init__(self) -> None:
        super().__init__()
        places = torch.arange(_WINDOW) - _WINDOW // 2
        line = torch.exp(-(places**2) / (2 * _SIGMA**2))
        self.line: Tensor
        self.register_buffer("line", (line / line.sum()).repeat(15, 1, 1, 1), persistent=False)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Map images [n, 3, h, w] with values from 0 to 1 to [n, 3, h, w], from 0 (alike) to 2."""
        centre = one.mean(dim=(2, 3), keepdim=True)
        apart, one, other = one - other, one - centre, other - centre
        stacked = torch.cat([one, other, apart, one * one + other * other, apart * apart], dim=1)
        across = functional.conv2d(stacked, self.line, padding=(0, _WINDOW // 2), groups=15)
        means = functional.conv2d(across, self.line.transpose(2, 3), padding=(_WINDOW // 2, 0), groups=15)
        of_one, of_other, of_apart = means[:, 0:3], means[:, 3:6], means[:, 6:9]
        variances = means[:, 9:12] - (of_one * of_one + of_other * of_other)
        squares = (of_one + centre) ** 2 + (of_other + centre) ** 2
        variance_apart = means[:, 12:15] - of_apart * of_apart
        brightness = 1 - of_apart * of_apart / (squares + _C1)
        structure = 1 - variance_apart / (variances + _C2)
        return 1 - brightness * structure


class AeTrainee:
    """The autoencoder with its optimiser and loss; see ``reconstruction.networks.training.Trainee``."""

    def __init__(self, settings: AeSettings, side: int) -> None:
        self.core = AeCore(settings.latent, side, settings.loss)

    def start(self, learning_rate: float, device: str) -> None:
        """Adam, with the paper's weight decay."""
        self.core.to(device)
        self._optimiser = torch.optim.Adam(self.core.parameters(), learning_rate, weight_decay=1e-5)

    def step(self, pixels: Tensor) -> None:
        """One optimiser step on the mean residual."""
        loss = self.loss(pixels)
        self._optimiser.zero_grad(set_to_none=True)
        backward(loss)
        self._optimiser.step()

    def loss(self, pixels: Tensor) -> Tensor:
        """The mean residual."""
        return self.core.residuals(pixels).mean()

    def draw(self, pixels: Tensor) -> Tensor:
        """The reconstructed images."""
        return self.core.draw(pixels)


def _squared(one: Tensor, other: Tensor) -> Tensor:
    return (one - other) ** 2


def _encoder(latent: int, smallest: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    before = 3
    for outputs, kernel, stride in _LAYERS:
        layers += [nn.Conv2d(before, outputs, kernel, stride, padding=1), nn.LeakyReLU(_SLOPE)]
        before = outputs
    return nn.Sequential(*layers, nn.Conv2d(before, latent, smallest))


def _decoder(latent: int, smallest: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.ConvTranspose2d(latent, _LAYERS[-1][0], smallest), nn.LeakyReLU(_SLOPE)]
    inputs = [3, *(outputs for outputs, _, _ in _LAYERS)]
    for number in reversed(range(len(_LAYERS))):
        outputs, kernel, stride = _LAYERS[number]
        layers += [nn.ConvTranspose2d(outputs, inputs[number], kernel, stride, padding=1)]
        layers += [nn.LeakyReLU(_SLOPE)] if number else [nn.Sigmoid()]
    return nn.Sequential(*layers)


def _initialise(layers: nn.Sequential) -> None:
    """Initialise weights so that the variance of a signal is preserved across layers (He et al. 2015).

    PyTorch's defaults shrink the signal to less than a millionth over these eighteen layers: images can no
    longer be distinguished, and training ends with one reconstruction for all of them.
    """
    for number, layer in enumerate(layers):
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            taps = layer.kernel_size[0] * layer.kernel_size[1]
            if isinstance(layer, nn.ConvTranspose2d):
                # Each output pixel uses one in stride^2 kernel taps; from the code, which is one pixel, a
                # single one.
                taps = taps // layer.stride[0] ** 2 if number else 1
            deviation = sqrt(2 / ((1 + _SLOPE**2) * layer.in_channels * taps))
            nn.init.normal_(layer.weight, std=deviation)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
