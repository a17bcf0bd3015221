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
            ``wide_resnet50_2`` or, where its weights are neither on this machine nor to be downloaded,
            ``pcedge-s``.
        weights: A state dict to use instead of the libraries' hub caches or the shipped weights.
        layers: Module names, finest grid first; empty for the backbone's default.
        preprocessing: How an image becomes the network's input; an encoder's own normalisation takes the
            place of ImageNet's.
        embedding: ``reference`` (1,024 pooled values) or ``mean`` (plain 3x3 means); None for ``mean`` with
            ``pcedge-s`` and ``reference`` with others.
        coreset: How many patches the bank keeps.
        false_reject_rate: Share of good parts that may be called NG; None for 1 % or the smallest rate that
            the number of images supports, whichever is larger.
        review_rate: Share of good parts that may be called NG or REVIEW, above the false-reject rate; None
            for 5 % or twice that rate, whichever is larger.
        calibration: How images are held out to find thresholds: ``folds`` scores every image against a bank
            made without its fold; ``split`` keeps a third of the images from the bank, for which the rate is
            proven to hold.
        groups: Which images were taken together, as ``pcedge.thresholds.groups`` reads it: they are held
            out together, and the rates are for parts of a new group. None where each image stands alone.
        neighbours: Bank rows that re-weight the image score (paper, equation 7); 1 for none.
        seed: Of everything random.
        device: ``auto``, ``cpu``, ``cuda``.
        memory_gb: Memory the fit may use above the loaded libraries, in GB; None for 60 % of what is free.
            Where the embeddings do not fit, the bank is chosen in stages and the manifest states the bound.
        cache_gb: How much disk the cache of features may use, in GB; 0 for no cache.
        pictures_mb: How much of the bundle may be images of the training images that bank rows come from,
            in MB; 0 for none. Explanations show them.
        like: A bundle whose exported network and preprocessing are used, so that no PyTorch is needed and
            both products share one loaded network; ``backbone``, ``weights``, ``layers``, ``preprocessing``
            and ``embedding`` then say nothing.
        finetune: How the backbone is tuned on the good images first; None for not at all.
        models: Directory of bundles.
        name: Of the bundle; None for the dataset's folder name.
        layout: Of the dataset's folders, as ``pcedge.datasets.LAYOUTS`` name them; None to recognise it.
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
    layout: str | None = None

    @property
    def rates(self) -> Rates:
        """At which rates thresholds are to be found."""
        return Rates(self.false_reject_rate, self.review_rate)

    @property
    def network(self) -> NetworkOptions:
        """What of these decides the network."""
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
