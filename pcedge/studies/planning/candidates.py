"""The networks a plan chooses from, as files that a device runs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcedge.bundles.bundle import EMBEDDER_FILE, Bundle
from pcedge.bundles.files import describe_file
from pcedge.bundles.manifest import BackboneInfo, EmbeddingInfo, Precision
from pcedge.core.defaults import default_cache_directory
from pcedge.core.preprocessing import Preprocessing
from pcedge.datasets import Dataset, read_content
from pcedge.errors import ImageError, MissingExtraError
from pcedge.export import OnnxRuntime, write_fp16, write_int8, write_onnx
from pcedge.fitting.feature_cache import FeatureCache, embedder_key
from pcedge.fitting.features import BATCH
from pcedge.fitting.memory import GIGA
from pcedge.inspection.runtimes import runtime_file
from pcedge.studies.sweeps import SweepNetwork

_CALIBRATION_IMAGES = 16
# Well-known networks whose weights may lie in torchvision's cache.
_USUAL = ("resnet18", "resnet50", "wide_resnet50_2")


@dataclass(frozen=True, eq=False)
class NetworkCandidate:
    """A network that could be chosen.

    Attributes:
        network: As a sweep measures it.
        precision: In which it computes.
        bytes: Of its file.
    """

    network: SweepNetwork
    precision: Precision
    bytes: int


def available_backbones(weights: dict[str, Path]) -> tuple[str, ...]:
    """What can be used without a download: ``pcedge-s``, what weights are given for, what is in the cache.

    Raises:
        MissingExtraError: PyTorch is not installed.
    """
    try:
        from pcedge.networks.torchvision_weights import cached_file
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "torch", "fit", "Planning with networks of its own") from None
    cached = [name for name in _USUAL if cached_file(name) is not None]
    return tuple(dict.fromkeys(["pcedge-s", *weights, *cached]))


def candidates(
    backbone: str,
    image_size: int,
    precisions: Sequence[Precision],
    weights: Path | None,
    dataset: Dataset,
    folder: Path,
    device: str,
    cache_gb: float,
) -> Iterator[NetworkCandidate]:
    """Export a backbone at an image size, in every precision that is asked for.

    Args:
        backbone: Architecture.
        image_size: Whole images are resized to it.
        precisions: ``fp32``, ``fp16``, ``int8``.
        weights: A state dict to use instead of the usual weights.
        dataset: With good images, by which an int8 network's ranges are found.
        folder: For the files.
        device: Where ONNX Runtime runs them.
        cache_gb: Disk that cached features may use, in GB.

    Raises:
        PcedgeError: PyTorch or onnx is missing, or the backbone or its weights cannot be used.
    """
    try:
        import torch

        from pcedge.studies.sweeps.network import load_embedder
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "torch", "fit", "Planning with networks of its own") from None
    loaded = load_embedder(backbone, image_size, weights)
    size = loaded.preprocessing.input_size
    exported = folder / f"{backbone}-{image_size}.onnx"
    write_onnx(loaded.embedder, torch.zeros(2, 3, size, size), exported)
    info = BackboneInfo(
        name=backbone,
        layers=loaded.backbone.layers,
        weights="",
        weights_sha256=loaded.backbone.weights_sha256,
    )
    embedding = EmbeddingInfo(kind=loaded.kind, dims=loaded.embedder.dims, grid_hw=loaded.embedder.grid_hw)
    for precision in precisions:
        path = folder / f"{backbone}-{image_size}.{precision}.onnx"
        if precision == "fp32":
            path = exported
        elif precision == "fp16":
            write_fp16(exported, path)
        else:
            write_int8(exported, path, _calibration(dataset, loaded.preprocessing), kind="cpu")
        yield _candidate(path, info, embedding, loaded.preprocessing, precision, device, cache_gb)


def bundle_candidates(
    bundle: Bundle, precisions: Sequence[Precision], device: str, cache_gb: float
) -> Iterator[NetworkCandidate]:
    """A bundle's exported network, in every precision that it has and that is asked for.

    Raises:
        BundleError: It was not exported.
        PcedgeError: ONNX Runtime is missing, or cannot load a file on this device.
    """
    for precision in bundle.precisions:
        if precision not in precisions:
            continue
        own = bundle.in_precision(precision)
        manifest = own.manifest
        path = own.file(EMBEDDER_FILE) if own is not bundle else runtime_file(own, "onnx")
        yield _candidate(
            path,
            manifest.backbone,
            manifest.embedding,
            manifest.preprocessing,
            precision,
            device,
            cache_gb,
        )


def _candidate(
    path: Path,
    backbone: BackboneInfo,
    embedding: EmbeddingInfo,
    preprocessing: Preprocessing,
    precision: Precision,
    device: str,
    cache_gb: float,
) -> NetworkCandidate:
    runtime = OnnxRuntime(path, device)
    stated = describe_file(path)
    key = embedder_key(
        backbone=backbone.name,
        layers=backbone.layers,
        weights_sha256=backbone.weights_sha256,
        embedding=embedding.kind,
        preprocessing=preprocessing,
        runtime=f"{runtime.name} {stated.sha256}",
        batch=BATCH,
    )
    grid_hw = embedding.grid_hw
    shape = (grid_hw[0] * grid_hw[1], embedding.dims)
    cache = FeatureCache(default_cache_directory(), int(cache_gb * GIGA), key, shape)
    network = SweepNetwork(backbone.name, preprocessing, runtime, grid_hw, embedding.dims, cache)
    return NetworkCandidate(network, precision, stated.size)


def _calibration(dataset: Dataset, preprocessing: Preprocessing) -> Iterator[NDArray[np.float32]]:
    step = max(1, len(dataset.train) // _CALIBRATION_IMAGES)
    for path in dataset.train[::step]:
        try:
            yield preprocessing.apply(read_content(path))[np.newaxis]
        except ImageError:
            continue  # measuring says what is wrong with it
