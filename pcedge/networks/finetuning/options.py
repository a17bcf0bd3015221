"""Options of fine-tuning a backbone on nominal images."""

from dataclasses import dataclass
from math import isfinite
from typing import Literal, get_args

from pcedge.errors import OptionError

FinetuneMethod = Literal["rotation", "cutmix"]
DEFAULT_EPOCHS = 2
DEFAULT_LEARNING_RATE = 1e-4


@dataclass(frozen=True)
class FinetuneOptions:
    """Options of fine-tuning a backbone on nominal images.

    Attributes:
        method: ``rotation``: recognise by how many quarter turns an image was turned (Gidaris et al. 2018).
            ``cutmix``: tell a place in an image from the same place with a piece of another one pasted into
            it (contrastive, Chen et al. 2020; CutMix, Yun et al. 2019; CutPaste, Li et al. 2021).
        epochs: Passes over the images at most, after one in which only the task's own head learns.
        learning_rate: Of the backbone; it rises over the first epoch and stays.
        stages: Names of the modules whose weights are trained; empty for the last of the layers used.
        minutes: No epoch begins after so many; None for no limit. Only without it do results repeat.
        pull: How strongly weights are drawn back to where they began, as a share of the distance and per
            unit of the learning rate (L2-SP, Li et al. 2018).
        patience: Epochs without a better separation after which the tuning ends.

    Raises:
        OptionError: A value makes no sense.
    """

    method: FinetuneMethod
    epochs: int = DEFAULT_EPOCHS
    learning_rate: float = DEFAULT_LEARNING_RATE
    stages: tuple[str, ...] = ()
    minutes: float | None = None
    pull: float = 10.0
    patience: int = 2

    def __post_init__(self) -> None:
        if self.method not in get_args(FinetuneMethod):
            raise OptionError(
                f"There is no fine-tuning by {self.method!r}.", "Choose --finetune rotation or cutmix."
            )
        if self.epochs < 1 or self.patience < 1:
            raise OptionError(
                f"{self.epochs} epochs with a patience of {self.patience} is no fine-tuning.",
                "Give --finetune-epochs 1 or more, or leave --finetune out.",
            )
        if not (isfinite(self.learning_rate) and 0 < self.learning_rate <= 1):
            raise OptionError(
                f"A learning rate of {self.learning_rate} is not above 0 and at most 1.",
                f"Give a low one to --finetune-lr, such as {DEFAULT_LEARNING_RATE:g}.",
            )
        if self.minutes is not None and not (isfinite(self.minutes) and self.minutes > 0):
            raise OptionError(
                f"{self.minutes} minutes are no time to tune in.",
                "Give a number above 0 to --finetune-minutes, or leave it out for no limit.",
            )
        if not (isfinite(self.pull) and self.pull >= 0):
            raise OptionError(f"A pull of {self.pull} makes no sense.", "Give 0 for none, or a few tens.")
