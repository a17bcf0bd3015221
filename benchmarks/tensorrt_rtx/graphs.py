"""The graphs that export writes, of the real architectures; untrained, since values change no graph."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pcedge.core.preprocessing import Preprocessing
from pcedge.errors import ExportError
from pcedge.export import (
    Shapes,
    input_shapes,
    write_bank_search,
    write_fp16,
    write_fused,
    write_gaussian_distances,
    write_int8,
    write_onnx,
    write_search_part,
)
from pcedge.methods.ae.networks.network import AeCore
from pcedge.methods.gan.networks.network import GanCore
from pcedge.methods.networks.pyramid import Pyramid
from pcedge.methods.reconstruction.networks.pixels import ReconstructionDetector
from pcedge.networks.backbones import BACKBONES
from pcedge.networks.embedder import build_embedder, default_embedding, layer_shapes
from pcedge.networks.patch_embedding import PatchEmbedder

BANK_ROWS = 1000
_BATCH = 8
_DENSENET = ("features.denseblock2", "features.denseblock3")
# Backbone, side of the input in pixels, layers (none: its default): those of the presets, and of each family.
EMBEDDERS: tuple[tuple[str, int, tuple[str, ...]], ...] = (
    ("pcedge-s", 224, ()),
    ("pcedge-s", 320, ()),
    ("resnet18", 224, ()),
    ("resnet18", 224, ("layer1", "layer2", "layer3")),
    ("resnet50", 224, ()),
    ("wide_resnet50_2", 224, ()),
    ("wide_resnet50_2", 320, ()),
    ("wide_resnet101_2", 320, ()),
    ("resnext101_32x8d", 320, ()),
    ("densenet201", 320, _DENSENET),
    ("squeezenet1_0", 224, ("features.7", "features.12")),
    ("vgg16", 224, ("features.16", "features.23")),
    ("efficientnet_b0", 224, ("features.3", "features.5")),
    ("clip-rn50", 224, ()),
    ("clip-vit-b-32", 224, ()),
    ("clip-vit-b-16", 224, ()),
    ("dinov2-s", 224, ()),
    ("dinov2-s-reg", 224, ()),
    ("dinov2-b", 224, ()),
)


@dataclass(frozen=True)
class Graph:
    """One graph.

    Attributes:
        name: Of the network.
        precision: ``fp32``, ``fp16``, ``int8`` (symmetric).
        path: Its file.
        inputs: Minimum, optimum and maximum shape of each input.
    """

    name: str
    precision: str
    path: Path
    inputs: dict[str, Shapes]


@dataclass(frozen=True)
class Unwritten:
    """A graph that export itself refuses to write, and why."""

    name: str
    precision: str
    why: str


def embedder_graphs(
    backbone: str, size: int, layers: tuple[str, ...], folder: Path
) -> Iterator[Graph | Unwritten]:
    """The embedder and the fused network in every precision."""
    module = untrained(backbone, size, layers)
    name = f"{backbone} {' '.join(layers)} {size}".replace("  ", " ")
    embedder, part = folder / "embedder.onnx", folder / "search.onnxpart"
    write_onnx(module, torch.zeros(2, 3, size, size), embedder)
    write_search_part(part, module.dims)
    writers: dict[str, Callable[[Path], None]] = {
        "fp32": lambda path: None,
        "fp16": lambda path: write_fp16(embedder, path),
        "int8": lambda path: write_int8(embedder, path, _images(size)),
    }
    for precision, write in writers.items():
        path = embedder if precision == "fp32" else folder / f"{precision}.onnx"
        try:
            write(path)
        except ExportError as error:
            yield Unwritten(name, precision, error.what)
            continue
        yield Graph(name, precision, path, input_shapes(size, max_batch=_BATCH))
        fused = folder / f"{precision}.fused.onnx"
        write_fused(path, part, fused)
        shapes = input_shapes(size, max_batch=_BATCH, largest_bank=(BANK_ROWS, module.dims))
        yield Graph(f"{name}, search", precision, fused, shapes)


def other_graphs(folder: Path) -> Iterator[Graph]:
    """The networks of the other methods, and the search that an inference server is given."""
    preprocessing = Preprocessing(image_size=256)
    shapes = input_shapes(256, max_batch=_BATCH)
    cores: dict[str, tuple[nn.Module, int]] = {
        "AE, SSIM 256": (AeCore(100, 128, "ssim"), 2),
        "AE, L2 256": (AeCore(100, 128, "l2"), 2),
        "GAN 256": (GanCore(100, 64), 4),
    }
    for name, (core, shrink) in cores.items():
        path = folder / f"{name}.onnx"
        write_onnx(ReconstructionDetector(preprocessing, shrink, core), torch.zeros(2, 3, 256, 256), path)
        yield Graph(name, "fp32", path, shapes)
    yield from _padim(folder)
    bank = np.random.default_rng(0).normal(size=(BANK_ROWS, 384)).astype(np.float32)
    path = folder / "bank.onnx"
    write_bank_search(path, bank)
    sizes = tuple((batch, 784, 384) for batch in (1, 1, _BATCH))
    yield Graph("search with its bank in it", "fp32", path, {"embeddings": (sizes[0], sizes[1], sizes[2])})


def untrained(backbone: str, size: int, layers: tuple[str, ...]) -> PatchEmbedder:
    """A backbone of the real architecture with patch embedding, with random weights."""
    kind = next(one for one in BACKBONES if one.matches(backbone))
    network, _ = kind.cut_off(backbone, layers, size)
    network.eval()
    embedder = build_embedder(network, Preprocessing(image_size=size), default_embedding(backbone))
    embedder.eval()
    return embedder


def _padim(folder: Path) -> Iterator[Graph]:
    kind = next(one for one in BACKBONES if one.matches("resnet18"))
    network, _ = kind.cut_off("resnet18", kind.pyramid("resnet18"), 224)
    network.eval()
    chosen = range(0, 448, 5)  # 90 of its channels, as PaDiM draws them
    pyramid = Pyramid(network, layer_shapes(network, 224), chosen).eval()
    features, whitening = folder / "features.onnx", folder / "whitening.npy"
    write_onnx(pyramid, torch.zeros(2, 3, 224, 224), features)
    shape = (pyramid.cells, pyramid.dims)
    np.save(whitening, np.broadcast_to(np.eye(shape[1], dtype=np.float32), (*shape, shape[1])))
    path = folder / "padim.onnx"
    write_gaussian_distances(features, np.zeros(shape, np.float32), whitening, path)
    shapes = input_shapes(224, max_batch=_BATCH)
    yield Graph("SPADE's features, resnet18 224", "fp32", features, shapes)
    yield Graph("PaDiM, resnet18 224", "fp32", path, shapes)


def _images(size: int) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(1, 3, size, size)).astype(np.float32) for _ in range(2)]
