"""GANomaly's networks (Akcay et al. 2018, section 3.2): DCGAN's encoders, decoder and discriminator."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from pcedge.networks.backward import backward

from ..settings import GanSettings

_SLOPE = 0.2
_WIDTHS = (32, 64, 128)
_HALVED = 2 ** len(_WIDTHS)


class GanCore(nn.Module):
    """Pixels to residuals, and to the distance between the codes of an image and its reconstruction.

    Args:
        latent: Number of values of a latent code.
        side: Side of the images in pixels, a multiple of 8.
    """

    def __init__(self, latent: int, side: int) -> None:
        super().__init__()
        smallest = side // _HALVED
        self.encoder, self.second = _encoder(latent, smallest), _encoder(latent, smallest)
        self.decoder = _decoder(latent, smallest)
        self.cells = side * side

    def forward(self, pixels: Tensor) -> Tensor:
        """Map pixels [n, 3, side, side] to residuals and the image's score, [n, side * side + 1, 1].

        The score is the mean absolute difference of the codes (the paper's equation 5, divided by their
        length); a residual the mean absolute difference of a pixel's channels.
        """
        drawn, code, code_again = self.draw(pixels)
        residuals = (pixels - drawn).abs().mean(dim=1).reshape(-1, self.cells, 1)
        score = (code - code_again).abs().mean(dim=1).reshape(-1, 1, 1)
        return torch.cat([residuals, score], dim=1)

    def draw(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The reconstruction, the image's code, and the reconstruction's code, [n, latent, 1, 1]."""
        code = self.encoder(pixels)
        drawn = self.decoder(code)
        return drawn, code, self.second(drawn)


class GanTrainee:
    """All three networks; see :class:`pcedge.methods.reconstruction.networks.training.Trainee`."""

    def __init__(self, settings: GanSettings, side: int) -> None:
        self.core = GanCore(settings.latent, side)
        self._features = nn.Sequential(*_halvings())
        self._judge = nn.Conv2d(_WIDTHS[-1], 1, side // _HALVED)
        self._settings = settings

    def start(self, learning_rate: float, device: str) -> None:
        """Adam with the paper's momentum, one for the generator and one for the discriminator."""
        discriminator = nn.ModuleList([self._features, self._judge]).to(device)
        self._generating = torch.optim.Adam(self.core.to(device).parameters(), learning_rate, (0.5, 0.999))
        self._judging = torch.optim.Adam(discriminator.parameters(), learning_rate, (0.5, 0.999))

    def step(self, pixels: Tensor) -> None:
        """Train the generator on a batch, then the discriminator on images against reconstructions."""
        drawn, code, code_again = self.core.draw(pixels)
        with torch.no_grad():
            real = self._features(pixels)
        alike = functional.mse_loss(self._features(drawn), real)
        loss = self._settings.adversarial * alike + self._reconstruction(pixels, drawn, code, code_again)
        self._generating.zero_grad(set_to_none=True)
        backward(loss)
        self._generating.step()
        self._judging.zero_grad(set_to_none=True)
        doubt = self._doubt(pixels, true=True) + self._doubt(drawn.detach(), true=False)
        backward(0.5 * doubt)
        self._judging.step()

    def loss(self, pixels: Tensor) -> Tensor:
        """The losses without the adversarial one, which is not comparable between epochs."""
        return self._reconstruction(pixels, *self.core.draw(pixels))

    def draw(self, pixels: Tensor) -> Tensor:
        """The reconstructed images."""
        return self.core.draw(pixels)[0]

    def _reconstruction(self, pixels: Tensor, drawn: Tensor, code: Tensor, code_again: Tensor) -> Tensor:
        contextual = functional.l1_loss(drawn, pixels)
        of_codes = functional.mse_loss(code_again, code)
        return self._settings.contextual * contextual + self._settings.encoder * of_codes

    def _doubt(self, pixels: Tensor, *, true: bool) -> Tensor:
        judged: Tensor = self._judge(self._features(pixels))
        wanted = torch.full_like(judged, float(true))
        return functional.binary_cross_entropy_with_logits(judged, wanted)


def _halvings() -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Conv2d(3, _WIDTHS[0], 4, 2, 1, bias=False), nn.LeakyReLU(_SLOPE)]
    for before, width in pairwise(_WIDTHS):
        layers += [
            nn.Conv2d(before, width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(_SLOPE),
        ]
    return layers


def _encoder(latent: int, smallest: int) -> nn.Sequential:
    return nn.Sequential(*_halvings(), nn.Conv2d(_WIDTHS[-1], latent, smallest, bias=False))


def _decoder(latent: int, smallest: int) -> nn.Sequential:
    widths = _WIDTHS[::-1]
    layers: list[nn.Module] = [
        nn.ConvTranspose2d(latent, widths[0], smallest, bias=False),
        nn.BatchNorm2d(widths[0]),
        nn.ReLU(),
    ]
    for before, width in pairwise(widths):
        layers += [
            nn.ConvTranspose2d(before, width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.ConvTranspose2d(widths[-1], 3, 4, 2, 1), nn.Sigmoid())
