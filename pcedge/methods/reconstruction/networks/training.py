"""Seeded training on nominal images with early stopping and limits on epochs and time."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from pcedge.core.progress import Progress
from pcedge.errors import OptionError

from ..settings import ReconstructionSettings

BATCH = 8
_SHIFT = 3
_BRIGHTNESS = 0.05
_STEPS = 1000
# If reconstructions vary by less than this share of the variation of their inputs, they count as one image.
# Observed: a third or more after a good training, less than a hundredth of this if nothing was learned.
_ONE_PICTURE = 0.01


class Trainee(Protocol):
    """A method's networks with optimisers and losses."""

    @property
    def core(self) -> nn.Module:
        """The network the bundle keeps: pixels [n, 3, h, w] to residuals [n, cells, 1], or also a score."""

    def start(self, learning_rate: float, device: str) -> None:
        """Move to a device and create the optimisers."""

    def step(self, pixels: Tensor) -> None:
        """Train on a batch."""

    def loss(self, pixels: Tensor) -> Tensor:
        """Reconstruction loss in evaluation mode, used for early stopping."""

    def draw(self, pixels: Tensor) -> Tensor:
        """Reconstruct images [n, 3, h, w]."""


class Reconstructor(Protocol):
    """The part of a reconstruction method that fitting and restoring use."""

    @property
    def shrink(self) -> int:
        """Factor between the sides of the network's input and the reconstructed image."""

    @property
    def settings(self) -> type[ReconstructionSettings]:
        """Type of its settings."""

    def trainee(self, settings: Any, side: int) -> Trainee:
        """The untrained networks for images of ``side`` pixels."""


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Attributes:
        epochs: Number of completed epochs.
        best: The epoch whose networks are kept, counted from 1.
        validation: Validation loss after each epoch.
        out_of_time: Whether the time limit ended it.
    """

    epochs: int
    best: int
    validation: tuple[float, ...]
    out_of_time: bool


def train(
    trainee: Trainee,
    pixels: Tensor,
    others: Tensor,
    settings: ReconstructionSettings,
    *,
    seed: int,
    device: str,
    progress: Progress,
) -> Trained:
    """Train, and restore the networks of the best epoch.

    On one machine, the same seed and images give the same networks, unless the time limit ends the training.

    Args:
        trainee: The networks.
        pixels: float32 [images, 3, h, w] from 0 to 1, training images.
        others: Validation images in the same form, for early stopping.
        settings: Epochs, minutes, patience, learning rate, augmentation.
        seed: Seed of order and augmentation; the global random state is not changed.
        device: Device to train on.
        progress: Progress callback; stage ``train``.

    Raises:
        OptionError: The loss is not a finite number.
    """
    trainee.start(settings.learning_rate, device)
    dice = torch.Generator().manual_seed(seed)
    began = time.monotonic()
    validation: list[float] = []
    best: dict[str, Tensor] = {}

    def out_of_time(share_of_epoch: float) -> bool:
        spent = (time.monotonic() - began) / 60 / settings.minutes if settings.minutes else 0.0
        done = max(spent, (len(validation) + share_of_epoch) / settings.epochs)
        progress("train", min(int(done * _STEPS), _STEPS - 1), _STEPS)
        return spent >= 1 and len(validation) > 0

    ended = False
    while len(validation) < settings.epochs:
        ended = out_of_time(0.0) or not _epoch(trainee, pixels, settings.augment, dice, device, out_of_time)
        if ended:
            break  # an incomplete epoch is discarded, so that the completed ones can be repeated
        validation.append(_validate(trainee, others, device))
        if not math.isfinite(validation[-1]):
            raise OptionError(
                f"The training has diverged in epoch {len(validation)}: its loss is no number.",
                f"Train with a smaller --set learning_rate={settings.learning_rate / 10:g}",
            )
        if validation[-1] <= min(validation):
            best = {name: value.clone() for name, value in trainee.core.state_dict().items()}
        if len(validation) - _best(validation) >= settings.patience:
            break
    trainee.core.load_state_dict(best)
    trainee.core.eval()
    progress("train", _STEPS, _STEPS)
    return Trained(len(validation), _best(validation), tuple(validation), ended)


def draws_one_picture(trainee: Trainee, pixels: Tensor) -> bool:
    """Whether trained networks give the same reconstruction for different images."""
    device = next(trainee.core.parameters()).device
    with torch.inference_mode():
        drawn = trainee.draw(pixels.to(device)).cpu()
    shown = _spread(pixels)
    return shown > 0 and _spread(drawn) < _ONE_PICTURE * shown


def _spread(pictures: Tensor) -> float:
    """Mean deviation of images [n, 3, h, w] from their mean image."""
    return float((pictures - pictures.mean(dim=0)).square().mean().sqrt())


def _epoch(
    trainee: Trainee,
    pixels: Tensor,
    augment: bool,
    dice: torch.Generator,
    device: str,
    out_of_time: Callable[[float], bool],
) -> bool:
    """Train on every image once, in random order; return whether the epoch was completed in time."""
    trainee.core.train()
    batches = torch.split(torch.randperm(len(pixels), generator=dice), BATCH)
    for number, chosen in enumerate(batches, 1):
        batch = augmented(pixels[chosen], dice) if augment else pixels[chosen]
        trainee.step(batch.to(device))
        if out_of_time(number / len(batches)) and number < len(batches):
            return False
    return True


def augmented(pixels: Tensor, dice: torch.Generator) -> Tensor:
    """Shift each image by up to three pixels, its border repeated, and change its brightness by up to 5 %.

    Mild on purpose, within the normal variation of a line. Rotated or mirrored parts may be defects.
    """
    n, _, h, w = pixels.shape
    padded = functional.pad(pixels, (_SHIFT, _SHIFT, _SHIFT, _SHIFT), mode="replicate")
    corners = torch.randint(0, 2 * _SHIFT + 1, (n, 2), generator=dice).tolist()
    shifted = torch.stack([one[:, y : y + h, x : x + w] for one, (y, x) in zip(padded, corners, strict=True)])
    factors = 1 + _BRIGHTNESS * (2 * torch.rand(n, 1, 1, 1, generator=dice) - 1)
    return (shifted * factors).clamp(0, 1)


def _validate(trainee: Trainee, others: Tensor, device: str) -> float:
    trainee.core.eval()
    with torch.inference_mode():
        parts = [trainee.loss(part.to(device)) * len(part) for part in torch.split(others, BATCH)]
        return float(torch.stack(parts).sum()) / len(others)


def _best(validation: list[float]) -> int:
    """The last epoch with the smallest loss, counted from 1."""
    smallest = min(validation)
    return max(number for number, value in enumerate(validation, 1) if value == smallest)
