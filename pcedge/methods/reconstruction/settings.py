"""Options of reconstruction methods."""

import msgspec

from pcedge.errors import OptionError

# A longer code is no longer a bottleneck, and its weights fill the memory.
_LONGEST_CODE = 10_000


class ReconstructionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Options of all reconstruction methods.

    Attributes:
        epochs: Maximum number of epochs.
        minutes: Time limit of the training in minutes; 0 for none.
        patience: Stop after this number of epochs without a lower validation loss.
        held_out: Share of the good images held out for the threshold.
        latent: Number of values of the latent code.
        learning_rate: Learning rate of Adam.
        augment: Whether training images get small random shifts and brightness changes.
    """

    epochs: int = 150
    minutes: float = 5.0
    patience: int = 20
    held_out: float = 0.2
    latent: int = 100
    learning_rate: float = 1e-3
    augment: bool = True

    def __post_init__(self) -> None:
        for name, smallest in {"epochs": 1, "patience": 1, "latent": 1}.items():
            if getattr(self, name) < smallest:
                raise OptionError(
                    f"{name} cannot be {getattr(self, name)}.", f"Give at least {smallest}, or leave it out."
                )
        if self.latent > _LONGEST_CODE:
            raise OptionError(
                f"A code of {self.latent:,} values is not narrow.", "Give one such as --set latent=100."
            )
        if not 0 <= self.minutes < float("inf"):
            raise OptionError(
                f"A training of {self.minutes} minutes makes no sense.", "Give --set minutes=5."
            )
        if not 0 < self.held_out <= 0.5:
            raise OptionError(
                f"A share of {self.held_out} held out for the threshold makes no sense.",
                "Give a share above 0 and up to 0.5, such as --set held_out=0.2.",
            )
        if not 0 < self.learning_rate <= 1:
            raise OptionError(
                f"A learning rate of {self.learning_rate} makes no sense.",
                "Give one such as --set learning_rate=0.001.",
            )
