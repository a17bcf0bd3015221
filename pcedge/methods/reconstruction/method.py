"""The base class of reconstruction methods: settings, restoring and exporting."""

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcedge.core.progress import Progress
from pcedge.errors import OptionError
from pcedge.export import write_onnx
from pcedge.fitting.options import FitOptions
from pcedge.methods.common.bundle import BaselineBundle
from pcedge.methods.common.network_method import NetworkMethod

from .scorer import Residuals
from .settings import ReconstructionSettings

if TYPE_CHECKING:
    from torch import nn

    from .networks.fitter import ReconstructionFitter
    from .networks.training import Trainee

# Factor by which the networks downscale the image, first by averaging, then by convolutions.
STRIDE = 32


class ReconstructionMethod(NetworkMethod):
    """See :class:`pcedge.methods.Method`; a subclass adds its networks and their training.

    ``shrink`` is the factor between the sides of the network's input and the reconstructed image.
    """

    has_backbone = False
    shrink: int
    settings: type[ReconstructionSettings]

    @abstractmethod
    def trainee(self, settings: Any, side: int) -> "Trainee":
        """The untrained networks for images of ``side`` pixels."""

    def prepare(self, options: FitOptions, settings: Any, progress: Progress) -> "ReconstructionFitter":
        """Check that the networks fit the image size; there is nothing to load."""
        from .networks.fitter import ReconstructionFitter

        size = options.preprocessing.input_size
        if size % STRIDE or size < 2 * STRIDE:
            below = size // STRIDE * STRIDE
            fits = [one for one in (below, below + STRIDE) if one >= 2 * STRIDE]
            raise OptionError(
                f"{self.name} makes images {STRIDE} times smaller, and {size} px is no multiple of that, "
                "or too small.",
                f"Choose --image-size {' or '.join(map(str, fits))} (with a crop: --crop).",
            )
        return ReconstructionFitter(self, options, settings)

    def module(self, bundle: BaselineBundle) -> "nn.Module":
        """Images to residuals [n, cells, 1], followed by the image score if there is one."""
        from .networks.fitter import restore

        return restore(self, bundle)

    def write_onnx(self, bundle: BaselineBundle, path: Path) -> None:
        """Write the whole detector as one graph."""
        import torch

        size = bundle.manifest.preprocessing.input_size
        write_onnx(self.module(bundle), torch.zeros(2, 3, size, size), path)

    def scorer(self, bundle: BaselineBundle) -> Residuals:
        """The residuals are the scores of the cells."""
        rows, columns = bundle.manifest.grid_hw
        return Residuals(rows * columns)
