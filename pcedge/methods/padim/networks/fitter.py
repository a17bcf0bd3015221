"""Fitting PaDiM, and restoring its network from a bundle; needs PyTorch."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pcedge.banks import FLOAT, map_array
from pcedge.bundles.bundle import BACKBONE_FILE
from pcedge.bundles.manifest import BackboneInfo, EmbeddingInfo
from pcedge.core.npz import REFIT
from pcedge.core.progress import Progress
from pcedge.core.stage_timer import StageTimer
from pcedge.errors import OptionError, WeightsUnavailableError
from pcedge.fitting.options import FitOptions
from pcedge.methods.common.bundle import BaselineBundle
from pcedge.methods.common.fitter import FitTask, Learned
from pcedge.methods.networks.pyramid import Pyramid, load_pyramid_backbone
from pcedge.networks.embedder import layer_shapes, restore_stored
from pcedge.networks.embedding_network import EmbeddingNetwork
from pcedge.networks.load_network import feature_network

from ..learning import WHITENING_FILE, check_memory, learn_gaussians, read_gaussians
from .network import MahalanobisNetwork

# The paper's, section IV-B: R18-Rd100 and WR50-Rd550.
_PAPER_DIMS = {"resnet18": 100, "wide_resnet50_2": 550}
_DEFAULT_DIMS = 100


@dataclass(frozen=True, eq=False)
class PadimFitter:
    """PaDiM with its network loaded; see :class:`pcedge.methods.Fitter`."""

    network: EmbeddingNetwork
    chosen: NDArray[np.int64]
    total: int
    offline_default: WeightsUnavailableError | None

    @classmethod
    def load(cls, options: FitOptions, dims: int, progress: Progress) -> "PadimFitter":
        """Load the backbone and select this number of dims at random; 0 for the paper's number.

        Raises:
            OptionError: There are not that many dims, or their matrices do not fit into memory.
        """
        backbone, missing = load_pyramid_backbone(options, progress)
        shapes = layer_shapes(backbone.module, options.preprocessing.input_size)
        total = sum(shape[0] for shape in shapes)
        count = dims or min(total, _PAPER_DIMS.get(backbone.name, _DEFAULT_DIMS))
        if count > total:
            raise OptionError(
                f"PaDiM cannot keep {count} dims: the layers of {backbone.name} have {total}.",
                f"Give --set dims={total} or less.",
            )
        chosen = np.sort(np.random.default_rng(options.seed).choice(total, count, replace=False))
        pyramid = Pyramid(backbone.module, shapes, chosen.tolist())
        check_memory(pyramid.cells, count, options.memory_gb)
        kind = f"pyramid of {','.join(map(str, chosen))}"
        embedding = EmbeddingInfo(kind=kind, dims=count, grid_hw=pyramid.grid_hw)
        network = feature_network(pyramid, backbone, embedding, options.preprocessing, options.device)
        return cls(network, chosen, total, missing)

    @property
    def backbone(self) -> BackboneInfo:
        """The manifest's entry for the backbone."""
        return self.network.backbone

    def learn(self, task: FitTask, staging: Path, watch: StageTimer, progress: Progress) -> Learned:
        """Fit a Gaussian for every position and write them to a directory."""
        self.network.write_files(staging)
        fitted = learn_gaussians(task, self.network, self.chosen, staging, watch, progress)
        seen = fitted.seen
        images, dims = len(seen.used), len(self.chosen)
        few = (
            f"{images} images are no more than the {dims} dims of a Gaussian: much of its covariance is the "
            f"regularisation. Give it more images, or fewer dims: --set dims={max(1, images // 2)}"
        )
        return Learned(
            images=images,
            skipped=seen.skipped,
            grid_hw=self.network.embedding.grid_hw,
            held_out=seen.used,
            scores=fitted.scores,
            map_peaks=fitted.scores,
            how=f"cross-conformal: {fitted.folds} folds over the training images",
            settings={"dims": dims, "of": self.total},
            notes=(few,) if images <= dims else (),
            cached=seen.cached,
            cache_problem=seen.cache_problem,
        )


def restore_pyramid(bundle: BaselineBundle) -> Pyramid:
    """The feature pyramid of a bundle.

    Raises:
        BundleError: A file is missing or changed.
    """
    info = bundle.manifest.backbone
    assert info is not None  # every PaDiM bundle has one
    backbone = restore_stored(info, bundle.file(BACKBONE_FILE))
    shapes = layer_shapes(backbone, bundle.manifest.preprocessing.input_size)
    _, chosen = read_gaussians(bundle)
    return Pyramid(backbone, shapes, chosen.tolist())


def restore_network(bundle: BaselineBundle) -> MahalanobisNetwork:
    """The complete network of a bundle.

    Raises:
        BundleError: A file is missing or changed.
    """
    mean, _ = read_gaussians(bundle)
    positions, dims = mean.shape
    whitening = map_array(bundle.file(WHITENING_FILE), REFIT, FLOAT, positions, dims, dims)
    return MahalanobisNetwork(
        restore_pyramid(bundle), torch.from_numpy(mean), torch.from_numpy(np.array(whitening))
    )
