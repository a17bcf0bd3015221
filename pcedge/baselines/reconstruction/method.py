"""Methods that score by reconstruction: what they can be told, and how they are restored and exported."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pcedge.errors import OptionError
from pcedge.export import write_onnx
from pcedge.fit_options import FitOptions
from pcedge.progress import Progress

from ..bundle import BaselineBundle

if TYPE_CHECKING:
    from torch import nn

    from .fitter import ReconstructionFitter
    from .training import Trainee

# The networks make the picture so much smaller: by averaging, and then by convolutions.
STRIDE = 32
# A code of more values is no narrow one any more, and its weights fill the memory.
_LONGEST_CODE = 10_000


class ReconstructionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What these methods can be told.

    Attributes:
        epochs: How often every image is seen, at most.
        minutes: How long to train, at most; 0 for as long as the epochs take.
        patience: So many epochs without a better reconstruction of good images that are not trained on, and
            the training ends.
        held_out: Share of the good images that only the threshold is found on.
        latent: Values of the code that a picture has to pass through.
        learning_rate: Of Adam.
        augment: Whether training pictures are shifted and brightened a little, at random.
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


class ReconstructionMethod(ABC):
    """See :class:`pcedge.baselines.Method`; what a method adds is its networks and how they learn.

    ``shrink`` is how many pixels of the network's input, a side, become one of the picture that is drawn.
    """

    name: str
    shrink: int
    title: str
    settings: type[ReconstructionSettings]

    @abstractmethod
    def trainee(self, settings: Any, side: int) -> "Trainee":
        """Its networks, untrained, for pictures of ``side`` pixels."""

    def prepare(self, options: FitOptions, settings: Any, progress: Progress) -> "ReconstructionFitter":
        """Check that the networks fit the picture size; there is nothing to load."""
        from .fitter import ReconstructionFitter

        size = options.preprocessing.input_size
        if size % STRIDE or size < 2 * STRIDE:
            below = size // STRIDE * STRIDE
            fits = [one for one in (below, below + STRIDE) if one >= 2 * STRIDE]
            raise OptionError(
                f"{self.name} makes pictures {STRIDE} times smaller, and {size} px is no multiple of that, "
                "or too small.",
                f"Choose --image-size {' or '.join(map(str, fits))} (with a crop: --crop).",
            )
        return ReconstructionFitter(self, options, settings)

    def module(self, bundle: BaselineBundle) -> "nn.Module":
        """Images to residuals [n, cells, 1], the image's score behind them where there is one."""
        from .fitter import restore

        return restore(self, bundle)

    def write_onnx(self, bundle: BaselineBundle, path: Path) -> None:
        """The whole detector as one graph."""
        import torch

        size = bundle.manifest.preprocessing.input_size
        write_onnx(self.module(bundle), torch.zeros(2, 3, size, size), path)

    def scorer(self, bundle: BaselineBundle) -> "Residuals":
        """The residuals are the scores of the cells."""
        rows, columns = bundle.manifest.grid_hw
        return Residuals(rows * columns)


class Residuals:
    """Takes the cells' scores, and the image's where the network gives one more value.

    Args:
        cells: How many cells there are.
    """

    def __init__(self, cells: int) -> None:
        self._cells = cells

    def scores(self, outputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], float | None]:
        """See :class:`pcedge.baselines.Scorer`."""
        values = outputs[:, 0]
        own = float(values[self._cells]) if len(values) > self._cells else None
        return values[: self._cells], own
