"""SPADE as a method: settings, fitting, restoring and exporting."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from pcedge.core.progress import Progress
from pcedge.errors import OptionError
from pcedge.export import write_onnx
from pcedge.fitting.options import FitOptions
from pcedge.methods.common.bundle import BaselineBundle
from pcedge.methods.common.network_method import NetworkMethod

from .gallery import FEATURES_FILE, Gallery
from .layout import FeatureLayout

if TYPE_CHECKING:
    from .networks.fitter import SpadeFitter
    from .networks.network import SpadeNetwork


class SpadeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Options of SPADE: ``neighbours`` is the paper's K, the number of nearest images."""

    neighbours: int = 50

    def __post_init__(self) -> None:
        if self.neighbours < 1:
            raise OptionError(
                f"SPADE cannot compare with {self.neighbours} images.",
                "Give --set neighbours=50, or leave it out.",
            )


class Spade(NetworkMethod):
    """SPADE; see :class:`pcedge.methods.Method`."""

    name = "spade"
    title = "SPADE (Cohen and Hoshen, 2020)"
    settings = SpadeSettings

    def prepare(self, options: FitOptions, settings: SpadeSettings, progress: Progress) -> "SpadeFitter":
        """Load the backbone."""
        from .networks.fitter import SpadeFitter

        return SpadeFitter.load(options, settings.neighbours, progress)

    def module(self, bundle: BaselineBundle) -> "SpadeNetwork":
        """Images to features [n, 1, length]."""
        from .networks.fitter import restore_network

        return restore_network(bundle)

    def write_onnx(self, bundle: BaselineBundle, path: Path) -> None:
        """Write the feature network; features are compared outside of it."""
        import torch

        size = bundle.manifest.preprocessing.input_size
        write_onnx(self.module(bundle), torch.zeros(2, 3, size, size), path)

    def scorer(self, bundle: BaselineBundle) -> "_Compared":
        """The scorer, which compares features with those of the normal images."""
        settings = bundle.manifest.settings
        layout = FeatureLayout(settings["descriptor"], tuple(tuple(shape) for shape in settings["pyramid"]))
        return _Compared(Gallery(bundle.file(FEATURES_FILE), layout, settings["neighbours"]))


class _Compared:
    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery

    def scores(self, outputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], float | None]:
        return self._gallery.scores(outputs[0])


METHOD = Spade()
