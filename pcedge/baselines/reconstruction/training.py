"""Training on nominal images: bounded, seeded, and ended where other good images are drawn no better."""

import math
import time
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from pcedge.errors import OptionError
from pcedge.progress import Progress

from .method import ReconstructionSettings

BATCH = 8
_SHIFT = 3
_BRIGHTNESS = 0.05
_STEPS = 1000


class Trainee(Protocol):
    """A method's networks with what trains them."""

    @property
    def core(self) -> nn.Module:
        """What the bundle keeps: pixels [n, 3, h, w] to residuals [n, cells, 1] and perhaps a score."""

    def start(self, learning_rate: float, device: str) -> None:
        """Move to a device and make the optimisers."""

    def step(self, pixels: Tensor) -> float:
        """Learn from a batch; returns its loss."""

    def loss(self, pixels: Tensor) -> Tensor:
        """How badly good pictures are drawn anew, in evaluation mode: what early stopping looks at."""


@dataclass(frozen=True)
class Trained:
    """How a training went.

    Attributes:
        epochs: How many were done.
        best: The epoch whose networks are kept, from 1.
        losses: Mean training loss of each epoch.
        validation: Loss on the good images that are not trained on, after each epoch.
        out_of_time: Whether the minutes ended it.
    """

    epochs: int
    best: int
    losses: tuple[float, ...]
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
    """Train, and leave the networks as they were after their best epoch.

    On one machine, the same seed and images give the same networks, unless the minutes end the training.

    Args:
        trainee: The networks.
        pixels: float32 [images, 3, h, w] from 0 to 1, to learn from.
        others: Other good images in that form, for early stopping.
        settings: Epochs, minutes, patience, learning rate, augmentation.
        seed: Of order and augmentation; the caller's random numbers are left alone.
        device: Where to train.
        progress: Told of the stage ``train``.

    Raises:
        OptionError: The loss is no number any more.
    """
    trainee.start(settings.learning_rate, device)
    dice = torch.Generator().manual_seed(seed)
    began = time.monotonic()
    losses: list[float] = []
    validation: list[float] = []
    best: dict[str, Tensor] = {}
    out_of_time = False
    while len(losses) < settings.epochs and not out_of_time:
        trainee.core.train()
        total = 0.0
        batches = torch.split(torch.randperm(len(pixels), generator=dice), BATCH)
        for number, chosen in enumerate(batches):
            batch = augmented(pixels[chosen], dice) if settings.augment else pixels[chosen]
            total += trainee.step(batch.to(device)) * len(chosen)
            spent = (time.monotonic() - began) / 60 / settings.minutes if settings.minutes else 0.0
            share = max(spent, (len(losses) + (number + 1) / len(batches)) / settings.epochs)
            progress("train", min(int(share * _STEPS), _STEPS - 1), _STEPS)
            out_of_time = spent >= 1
            if out_of_time and losses:
                break
        losses.append(total / len(pixels))
        validation.append(_validate(trainee, others, device))
        if not (math.isfinite(losses[-1]) and math.isfinite(validation[-1])):
            raise OptionError(
                f"The training has diverged in epoch {len(losses)}: its loss is no number.",
                f"Train with a smaller --set learning_rate={settings.learning_rate / 10:g}",
            )
        if validation[-1] <= min(validation):
            best = {name: value.clone() for name, value in trainee.core.state_dict().items()}
        if len(validation) - _best(validation) >= settings.patience:
            break
    trainee.core.load_state_dict(best)
    trainee.core.eval()
    progress("train", _STEPS, _STEPS)
    return Trained(len(losses), _best(validation), tuple(losses), tuple(validation), out_of_time)


def augmented(pixels: Tensor, dice: torch.Generator) -> Tensor:
    """Shift each picture by up to three pixels, its border repeated, and change its brightness by up to 5 %.

    Mild on purpose: what a line's parts do anyway. Turned or mirrored parts may be defects.
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
    """Number, from 1, of the last epoch with the smallest loss."""
    smallest = min(validation)
    return max(number for number, value in enumerate(validation, 1) if value == smallest)
