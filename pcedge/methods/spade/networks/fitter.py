"""Fitting SPADE, and restoring its network from a bundle; needs PyTorch."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcedge.bundles.bundle import BACKBONE_FILE
from pcedge.bundles.manifest import BackboneInfo, EmbeddingInfo
from pcedge.core.progress import Progress
from pcedge.core.scoring import anomaly_map
from pcedge.core.stage_timer import StageTimer
from pcedge.errors import OptionError, WeightsUnavailableError
from pcedge.fitting.memory import DEFAULT_SHARE, GIGA, available_bytes
from pcedge.fitting.options import FitOptions
from pcedge.methods.common.bundle import BaselineBundle
from pcedge.methods.common.embedding_images import embed_in_chunks
from pcedge.methods.common.fitter import FitTask, Learned
from pcedge.methods.common.row_file import RowFile
from pcedge.methods.networks.pyramid import load_pyramid_backbone
from pcedge.networks.backbones import Backbone
from pcedge.networks.embedder import layer_shapes, restore_stored
from pcedge.networks.embedding_network import EmbeddingNetwork
from pcedge.networks.load_network import feature_network
from pcedge.thresholds.cross_validation import FOLDS, split_into_folds

from ..gallery import FEATURES_FILE, Gallery
from ..layout import FeatureLayout
from .network import SpadeNetwork

# The descriptor is the pooled last block of a ResNet, before its classifier.
_LAST_BLOCK = "layer4"
# Number of held-out images for the map threshold; each map takes seconds.
_MAPS = 32
# Bytes for the network's buffers, images read ahead, and distances of coarse cells.
_FIXED = 600_000_000


@dataclass(frozen=True, eq=False)
class SpadeFitter:
    """SPADE with its network loaded; see :class:`pcedge.methods.Fitter`."""

    network: EmbeddingNetwork
    layout: FeatureLayout
    neighbours: int
    offline_default: WeightsUnavailableError | None

    @classmethod
    def load(cls, options: FitOptions, neighbours: int, progress: Progress) -> "SpadeFitter":
        """Load the backbone, with its last block if the weights include it.

        Raises:
            OptionError: The features of the K nearest images do not fit into memory.
        """
        backbone, missing = load_pyramid_backbone(options, progress, last=_LAST_BLOCK)
        shapes = layer_shapes(backbone.module, options.preprocessing.input_size)
        pyramid = _pyramid_layers(backbone)
        layout = FeatureLayout(shapes[-1][0], tuple(shapes[:pyramid]))
        _check_memory(layout, neighbours, options.memory_gb)
        kind = f"descriptor and {pyramid} layers"
        embedding = EmbeddingInfo(kind=kind, dims=layout.length, grid_hw=(1, 1))  # one row per image
        network = feature_network(
            SpadeNetwork(backbone.module, pyramid), backbone, embedding, options.preprocessing, options.device
        )
        return cls(network, layout, neighbours, missing)

    @property
    def backbone(self) -> BackboneInfo:
        """The manifest's entry for the backbone."""
        return self.network.backbone

    def learn(self, task: FitTask, staging: Path, watch: StageTimer, progress: Progress) -> Learned:
        """Write the features of all images, and score each against those of the other folds."""
        self.network.write_files(staging)
        path = staging / FEATURES_FILE
        with watch.stage("embed"), RowFile(path, (self.layout.length,)) as file:
            seen = embed_in_chunks(task, self.network, file.append, progress)
        with watch.stage("calibrate"):
            gallery = Gallery(path, self.layout, self.neighbours)
            scores, peaks = self._held_out(gallery, task.options, progress)
            folds = min(FOLDS, len(seen.used))
            del gallery
        return Learned(
            images=len(seen.used),
            skipped=seen.skipped,
            grid_hw=self.layout.layers[0][1:],
            held_out=seen.used,
            scores=scores,
            map_peaks=peaks,
            how=f"cross-conformal: {folds} folds over the training images; the map's from {len(peaks)}",
            settings={
                "neighbours": min(self.neighbours, len(seen.used)),
                "image_layer": self.backbone.layers[-1],
                "descriptor": self.layout.descriptor,
                "pyramid": [list(shape) for shape in self.layout.layers],
            },
            notes=self._notes(len(seen.used)),
            cached=seen.cached,
            cache_problem=seen.cache_problem,
        )

    def _held_out(
        self, gallery: Gallery, options: FitOptions, progress: Progress
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        images = len(gallery.descriptors)
        scores = np.empty(images, np.float32)
        mapped = set(np.random.default_rng(options.seed).permutation(images)[:_MAPS].tolist())
        peaks: list[float] = []
        size, grid_hw = options.preprocessing.input_size, self.layout.layers[0][1:]
        done = 0
        for fold in split_into_folds(images, FOLDS, options.seed):
            others = np.setdiff1d(np.arange(images), fold).tolist()
            for image in fold.tolist():
                _, scores[image] = gallery.nearest(gallery.descriptors[image], others)
                if image in mapped:
                    cells, _ = gallery.scores(gallery.row(image), others)
                    peaks.append(float(anomaly_map(cells, grid_hw, size).max()))
                done += 1
                progress("calibrate", done, images)
        return scores, np.array(peaks, np.float32)

    def _notes(self, images: int) -> tuple[str, ...]:
        notes = []
        if self.backbone.layers[-1] != _LAST_BLOCK:
            notes.append(
                f"Images are compared by {self.backbone.layers[-1]}, the last layer of these weights; in the "
                f"paper by {_LAST_BLOCK}."
            )
        if images < self.neighbours:
            notes.append(f"{images} images are all compared with: the paper's K is {self.neighbours}.")
        return tuple(notes)


def restore_network(bundle: BaselineBundle) -> SpadeNetwork:
    """The network of a bundle.

    Raises:
        BundleError: A file is missing or changed.
    """
    info = bundle.manifest.backbone
    assert info is not None  # every SPADE bundle has one
    backbone = restore_stored(info, bundle.file(BACKBONE_FILE))
    return SpadeNetwork(backbone, len(bundle.manifest.settings["pyramid"]))


def _pyramid_layers(backbone: Backbone) -> int:
    return max(1, len(backbone.layers) - (backbone.layers[-1] == _LAST_BLOCK))


def _check_memory(layout: FeatureLayout, neighbours: int, memory_gb: float | None) -> None:
    """Check that the features of the K nearest images fit into memory twice."""
    budget = available_bytes() * DEFAULT_SHARE if memory_gb is None else memory_gb * GIGA
    image = 2 * 4 * layout.length
    if _FIXED + neighbours * image > budget:
        fitting = int((budget - _FIXED) // image)
        raise OptionError(
            f"SPADE with {neighbours} neighbours needs {(_FIXED + neighbours * image) / GIGA:.2f} GB of "
            "memory; "
            f"{budget / GIGA:.2f} GB may be used.",
            f"Compare with fewer: --set neighbours={fitting}."
            if fitting >= 1
            else "Give it more --memory-gb.",
        )
