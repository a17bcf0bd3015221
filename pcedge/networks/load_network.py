"""The network of a fit in PyTorch: from a backbone's name to patch embeddings."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from pcedge.bundles.bundle import BACKBONE_FILE
from pcedge.bundles.finetune_record import FinetuneRecord
from pcedge.bundles.manifest import BackboneInfo, EmbeddingInfo
from pcedge.core.defaults import COMPACT
from pcedge.core.preprocessing import Preprocessing
from pcedge.core.progress import Progress
from pcedge.core.stage_timer import StageTimer
from pcedge.errors import WeightsUnavailableError
from pcedge.export import TorchRuntime

from .backbones import Backbone, load_backbone, load_default_backbone, preprocessing_for
from .embedder import build_embedder, default_embedding, save_backbone
from .embedding_network import EmbeddingNetwork
from .finetuning.finetune import finetune
from .network_options import NetworkOptions


def load_network(
    paths: Sequence[Path], options: NetworkOptions, watch: StageTimer, progress: Progress
) -> EmbeddingNetwork:
    """Load the backbone that was asked for, or the default one, and put neighbourhood pooling on it.

    Args:
        paths: Good images, for a backbone that is to be tuned on them.
        options: What was asked for.
        watch: Takes the time of the stages ``load`` and ``finetune``.
        progress: Called with the stages ``download`` and ``finetune``.

    Raises:
        PcedgeError: There are no weights for it, or its layers cannot be used.
    """
    with watch.stage("load"):
        backbone, missing = _load_backbone(options, progress)
    kind = options.embedding or default_embedding(backbone.name)
    preprocessing = preprocessing_for(backbone.name, options.preprocessing)
    record = None
    if options.finetune is not None:
        with watch.stage("finetune"):
            tuned = finetune(
                backbone,
                paths,
                preprocessing,
                kind,
                options.finetune,
                seed=options.seed,
                device=options.device,
                progress=progress,
            )
        backbone, record = tuned.backbone, tuned.record
    embedder = build_embedder(backbone.module, preprocessing, kind)
    embedding = EmbeddingInfo(kind=kind, dims=embedder.dims, grid_hw=embedder.grid_hw)
    network = feature_network(embedder, backbone, embedding, preprocessing, options.device, finetuning=record)
    return replace(network, offline_default=missing)


def feature_network(
    module: nn.Module,
    backbone: Backbone,
    embedding: EmbeddingInfo,
    preprocessing: Preprocessing,
    device: str,
    *,
    finetuning: FinetuneRecord | None = None,
) -> EmbeddingNetwork:
    """A network of a backbone's features, which the images of a fit go through.

    Args:
        module: Maps images to what ``embedding`` says.
        backbone: Which it is made of; its weights go into the bundle.
        embedding: Features are cached under its ``kind``.
        preprocessing: How an image becomes its input.
        device: What runs it.
        finetuning: How its weights came from others, where they did.
    """
    runtime = TorchRuntime(module, device)
    return EmbeddingNetwork(
        runtime=runtime,
        identity=runtime.name,
        device=runtime.device,
        preprocessing=preprocessing,
        backbone=BackboneInfo(
            name=backbone.name,
            layers=backbone.layers,
            weights=backbone.weights,
            weights_sha256=backbone.weights_sha256,
            finetuning=finetuning,
        ),
        embedding=embedding,
        write_files=lambda directory: save_backbone(backbone, directory / BACKBONE_FILE),
    )


def _load_backbone(
    options: NetworkOptions, progress: Progress
) -> tuple[Backbone, WeightsUnavailableError | None]:
    if options.backbone is None:
        return load_default_backbone(options.layers, options.weights, progress)
    try:
        size = options.preprocessing.input_size
        return load_backbone(options.backbone, options.layers, options.weights, progress, size=size), None
    except WeightsUnavailableError as error:
        raise WeightsUnavailableError(
            error.what, f"{error.hint} Without a download: --backbone {COMPACT}"
        ) from error
