"""PaDiM as a method: settings, fitting, restoring and exporting."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from pcedge.core.progress import Progress
from pcedge.errors import OptionError
from pcedge.export import write_gaussian_distances, write_onnx
from pcedge.fitting.options import FitOptions
from pcedge.methods.common.bundle import BaselineBundle
from pcedge.methods.common.network_method import NetworkMethod

from .learning import WHITENING_FILE, read_gaussians

if TYPE_CHECKING:
    from .networks.fitter import PadimFitter
    from .networks.network import MahalanobisNetwork


class PadimSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Options of PaDiM.

    ``dims`` is the number of randomly selected features of a position; 0 for the paper's number: 100 with
    ResNet-18, 550 with WideResNet-50-2, 100 with others.
    """

    dims: int = 0

    def __post_init__(self) -> None:
        if self.dims < 0:
            raise OptionError(f"PaDiM cannot keep {self.dims} dims.", "Give --set dims=100, or leave it out.")


class Padim(NetworkMethod):
    """PaDiM; see :class:`pcedge.methods.Method`."""

    name = "padim"
    title = "PaDiM (Defard et al., 2021)"
    settings = PadimSettings

    def prepare(self, options: FitOptions, settings: PadimSettings, progress: Progress) -> "PadimFitter":
        """Load the backbone and select the dims."""
        from .networks.fitter import PadimFitter

        return PadimFitter.load(options, settings.dims, progress)

    def module(self, bundle: BaselineBundle) -> "MahalanobisNetwork":
        """Images to Mahalanobis distances [n, positions, 1]."""
        from .networks.fitter import restore_network

        return restore_network(bundle)

    def write_onnx(self, bundle: BaselineBundle, path: Path) -> None:
        """The whole detector as one graph; the whitening matrices stay in their own file beside it."""
        import torch

        from .networks.fitter import restore_pyramid

        size = bundle.manifest.preprocessing.input_size
        with TemporaryDirectory() as folder:
            features = Path(folder) / "features.onnx"
            write_onnx(restore_pyramid(bundle), torch.zeros(2, 3, size, size), features)
            mean, _ = read_gaussians(bundle)
            matrices = path.with_name(WHITENING_FILE)
            # In a bundle that is being changed, the file is a hard link, which ONNX refuses.
            matrices.unlink(missing_ok=True)
            shutil.copyfile(bundle.file(WHITENING_FILE), matrices)
            write_gaussian_distances(features, mean, matrices, path)

    def scorer(self, bundle: BaselineBundle) -> "_Distances":
        """The distances are the scores."""
        return _Distances()


class _Distances:
    """The network's outputs are the scores of the cells; the image score is the map's maximum (III-C)."""

    def scores(self, outputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], float | None]:
        return outputs[:, 0], None


METHOD = Padim()
