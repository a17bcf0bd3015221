"""The exported network of a bundle as an embedder, without PyTorch."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from pcedge.bundles.bundle import BACKBONE_FILE, EMBEDDER_FILE, SEARCH_PART_FILE, Bundle
from pcedge.bundles.files import describe_file
from pcedge.bundles.manifest import EmbeddingInfo, Precision
from pcedge.core.files import link_or_copy
from pcedge.export import Int8Kind, OnnxRuntime
from pcedge.networks.embedding_network import EmbeddingNetwork

from .runtimes import runtime_file


def exported_network(bundle: Bundle, device: str = "auto") -> EmbeddingNetwork:
    """The network of an exported bundle, for fitting another product with it.

    Raises:
        BundleError: The bundle was not exported.
        PcedgeError: ONNX Runtime is not installed, or cannot load the file on this device.
    """
    embedder = runtime_file(bundle, "onnx")

    def write_files(directory: Path) -> None:
        for name in (EMBEDDER_FILE, SEARCH_PART_FILE, BACKBONE_FILE):
            if bundle.has(name):
                link_or_copy(bundle.file(name), directory / name)

    manifest = bundle.manifest
    digest = manifest.files[EMBEDDER_FILE].sha256
    runtime = OnnxRuntime(embedder, device)
    return _from_file(bundle, runtime, digest, manifest.embedding, write_files, manifest.precision)


def in_precision(
    bundle: Bundle, embedder: Path, precision: Precision, int8_for: Int8Kind | None
) -> EmbeddingNetwork:
    """A bundle's network from an ONNX file in another precision; the file must be in its final place.

    Raises:
        PcedgeError: ONNX Runtime is not installed, or cannot load the file.
    """
    embedding = msgspec.structs.replace(bundle.manifest.embedding, int8_for=int8_for)
    runtime, digest = OnnxRuntime(embedder, "cpu"), describe_file(embedder).sha256
    return _from_file(bundle, runtime, digest, embedding, lambda _directory: None, precision)


def _from_file(
    bundle: Bundle,
    runtime: OnnxRuntime,
    digest: str,
    embedding: EmbeddingInfo,
    write_files: Callable[[Path], None],
    precision: Precision,
) -> EmbeddingNetwork:
    return EmbeddingNetwork(
        runtime=runtime,
        identity=f"{runtime.name} {digest}",
        device="cpu",
        preprocessing=bundle.manifest.preprocessing,
        backbone=bundle.manifest.backbone,
        embedding=embedding,
        write_files=write_files,
        precision=precision,
    )
