"""Training on nominal images: bounded, seeded, and ended where other good images are drawn no better."""

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
# What is drawn differs by less than this share of what is shown: it is one image. It was a third and more
# where a training went well, and less than a hundredth of this where nothing was learned.
_ONE_PICTURE = 0.01


class Trainee(Protocol):
    """A method's networks with what trains them."""

    @property
    def core(self) -> nn.Module:
        """What the bundle keeps: pixels [n, 3, h, w] to residuals [n, cells, 1] and perhaps a score."""

    def start(self, learning_rate: float, device: str) -> None:
        """Move to a device and make the optimisers."""

    def step(self, pixels: Tensor) -> None:
        """Learn from a batch."""

    def loss(self, pixels: Tensor) -> Tensor:
        """How badly good images are drawn anew, in evaluation mode: what early stopping looks at."""

    def draw(self, pixels: Tensor) -> Tensor:
        """Pictures [n, 3, h, w] drawn anew, in the same form."""


class Reconstructor(Protocol):
    """A method that scores by reconstruction, as far as fitting and restoring it need to know it."""

    @property
    def shrink(self) -> int:
        """How many pixels of the network's input, a side, become one of the image that is drawn."""

    @property
    def settings(self) -> type[ReconstructionSettings]:
        """What it can be told."""

    def trainee(self, settings: Any, side: int) -> Trainee:
        """Its networks, untrained, for images of ``side`` pixels."""


@dataclass(frozen=True)
class Trained:
    """How a training went.

    Attributes:
        epochs: How many were done.
        best: The epoch whose networks are kept, from 1.
        validation: Loss on the good images that are not trained on, after each epoch.
        out_of_time: Whether the minutes ended it.
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
    """Train, and leave the networks as they were after their best epoch.

    On one machine, the same seed and images give the same networks, unless the minutes end the training.

    Args:
        trainee: The networks.
        pixels: float32 [images, 3, h, w] from 0 to 1, to learn from.
        others: Other good images in that form, for early stopping.
        settings: Epochs, minutes, patience, learning rate, augmentation.
        seed: Of order and augmentation; the caller's random numbers are left alone.
        device: Where to train.
        progress: Called with the stage ``train``.

    Raises:
        OptionError: The loss is no number any more.
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
            break  # a part of an epoch counts for nothing, so that the epochs done can be repeated
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
    """Whether trained networks draw the same image, whichever of several that differ they are shown."""
    device = next(trainee.core.parameters()).device
    with torch.inference_mode():
        drawn = trainee.draw(pixels.to(device)).cpu()
    shown = _spread(pixels)
    return shown > 0 and _spread(drawn) < _ONE_PICTURE * shown


def _spread(pictures: Tensor) -> float:
    """How far images [n, 3, h, w] are from their mean, on average over the pixels."""
    return float((pictures - pictures.mean(dim=0)).square().mean().sqrt())


def _epoch(
    trainee: Trainee,
    pixels: Tensor,
    augment: bool,
    dice: torch.Generator,
    device: str,
    out_of_time: Callable[[float], bool],
) -> bool:
    """Learn from every image once, in random order; returns whether there was time for all."""
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
