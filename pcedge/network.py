"""A network ready to embed pictures, and what a bundle says of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pcedge.atomic import link_or_copy
from pcedge.bundle import BACKBONE_FILE, EMBEDDER_FILE, SEARCH_PART_FILE, Bundle
from pcedge.bundle_files import describe_file
from pcedge.errors import WeightsUnavailableError
from pcedge.export import Int8Kind, OnnxRuntime, Runtime
from pcedge.manifest import BackboneInfo, EmbeddingInfo, Precision
from pcedge.preprocessing import Preprocessing
from pcedge.runtimes import runtime_file


@dataclass(frozen=True, eq=False)
class Network:
    """A network that turns pictures into patch embeddings.

    Attributes:
        runtime: Runs it.
        identity: What runs it and from which file, to the last bit: features are cached under it.
        device: Where the coreset is selected, as PyTorch names devices.
        preprocessing: How a picture becomes its input.
        backbone: What a manifest says of the backbone.
        embedding: What a manifest says of the embeddings.
        write_files: Puts its files into the directory of a bundle.
        precision: In which it computes.
        offline_default: Why no backbone being named led to ``pcedge-s``, and how to get the larger one; None
            if it did not.
    """

    runtime: Runtime
    identity: str
    device: str
    preprocessing: Preprocessing
    backbone: BackboneInfo
    embedding: EmbeddingInfo
    write_files: Callable[[Path], None]
    precision: Precision = "fp32"
    offline_default: WeightsUnavailableError | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Patches an image and values a patch."""
        height, width = self.embedding.grid_hw
        return height * width, self.embedding.dims


def exported_network(bundle: Bundle, device: str = "auto") -> Network:
    """The network of an exported bundle, for fitting another product through it.

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


def in_precision(bundle: Bundle, embedder: Path, precision: Precision, int8_for: Int8Kind | None) -> Network:
    """A bundle's network as an ONNX file in another precision has it; the file lies where it is to stay.

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
) -> Network:
    return Network(
        runtime=runtime,
        identity=f"{runtime.name} {digest}",
        device="cpu",
        preprocessing=bundle.manifest.preprocessing,
        backbone=bundle.manifest.backbone,
        embedding=embedding,
        write_files=write_files,
        precision=precision,
    )
