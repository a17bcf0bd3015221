"""Options of a fit."""

from dataclasses import dataclass, field
from pathlib import Path

from pcedge.banks import CoresetSize
from pcedge.bundles.bundle import Bundle
from pcedge.bundles.manifest import EmbeddingKind
from pcedge.core.defaults import DEFAULT_CACHE_GB, DEFAULT_MODELS, DEFAULT_PICTURES_MB
from pcedge.core.preprocessing import PRESETS, Preprocessing
from pcedge.networks.finetuning.options import FinetuneOptions
from pcedge.networks.network_options import NetworkOptions
from pcedge.thresholds.conformal import Rates
from pcedge.thresholds.folds import CalibrationKind


@dataclass(frozen=True)
class FitOptions:
    """Options of a fit.

    Attributes:
        backbone: A torchvision architecture, ``pcedge-s`` or one of ``pcedge.networks.encoders``; None for
            ``wide_resnet50_2``, or ``pcedge-s`` if the weights are neither on this machine nor downloadable.
        weights: A state dict file to use instead of the libraries' hub caches or the shipped weights.
        layers: Module names, finest grid first; empty for the backbone's default.
        preprocessing: How an image becomes the network's input; an encoder's own normalisation replaces that
            of ImageNet.
        embedding: ``reference`` (1,024 pooled values) or ``mean`` (plain 3x3 means); None for ``mean`` with
            ``pcedge-s`` and ``reference`` with others.
        coreset: How many patches the bank keeps: a share or a number.
        false_reject_rate: Share of good parts that may be called NG; None for 1 % or the smallest rate
            supported by the number of images, whichever is larger.
        review_rate: Share of good parts that may be called NG or REVIEW, above the false-reject rate; None
            for 5 % or twice that rate, whichever is larger.
        calibration: How images are held out to find thresholds: ``folds`` scores every image against a bank
            made without its fold; ``split`` holds a third of the images out of the bank, and the rate is then
            proven.
        groups: Groups of images that were taken together, see ``pcedge.thresholds.groups``: each is held out
            together, and the rates are for parts of a new group. None for ungrouped images.
        neighbours: Bank rows that re-weight the image score (paper, equation 7); 1 for none.
        seed: Random seed.
        device: ``auto``, ``cpu``, ``cuda``.
        memory_gb: Memory the fit may use beyond the loaded libraries, in GB; None for 60 % of the free
            memory. If the embeddings do not fit, the bank is selected in stages and the manifest states the
            bound.
        cache_gb: Maximum size of the feature cache, in GB; 0 for no cache.
        pictures_mb: Maximum size of the training images kept in the bundle for explanations, in MB; 0 for
            none.
        replace: Whether a bundle of that name may be replaced that is of another dataset.
        like: A bundle whose exported network and preprocessing are used, so that no PyTorch is needed and
            both products share one loaded network; ``backbone``, ``weights``, ``layers``, ``preprocessing``
            and ``embedding`` are then ignored.
        finetune: Fine-tuning of the backbone on the good images before the fit; None for no fine-tuning.
        models: Directory of bundles.
        name: Name of the bundle; None for the dataset's folder name.
        layout: Layout of the dataset's folders, from ``pcedge.datasets.LAYOUTS``; None to detect it.
    """

    backbone: str | None = None
    weights: Path | None = None
    layers: tuple[str, ...] = ()
    preprocessing: Preprocessing = PRESETS["whole"]
    embedding: EmbeddingKind | None = None
    coreset: CoresetSize = field(default_factory=lambda: CoresetSize(fraction=0.1))
    false_reject_rate: float | None = None
    review_rate: float | None = None
    calibration: CalibrationKind = "folds"
    groups: str | None = None
    neighbours: int = 1
    seed: int = 0
    device: str = "auto"
    memory_gb: float | None = None
    cache_gb: float = DEFAULT_CACHE_GB
    pictures_mb: float = DEFAULT_PICTURES_MB
    like: Bundle | None = None
    finetune: FinetuneOptions | None = None
    models: Path = DEFAULT_MODELS
    name: str | None = None
    replace: bool = False
    layout: str | None = None

    @property
    def rates(self) -> Rates:
        """The rates of the thresholds."""
        return Rates(self.false_reject_rate, self.review_rate)

    @property
    def network(self) -> NetworkOptions:
        """The options that define the network."""
        return NetworkOptions(
            backbone=self.backbone,
            weights=self.weights,
            layers=self.layers,
            preprocessing=self.preprocessing,
            embedding=self.embedding,
            finetune=self.finetune,
            seed=self.seed,
            device=self.device,
        )
