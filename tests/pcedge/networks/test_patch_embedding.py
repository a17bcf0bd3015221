from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pcedge.core.preprocessing import Preprocessing
from pcedge.errors import OptionError
from pcedge.networks.embedder import build_embedder
from pcedge.networks.patch_embedding import PatchEmbedder

Shapes = list[tuple[int, int, int]]


class _Given(nn.Module):
    """A backbone that returns the given features."""

    def __init__(self, features: Sequence[Tensor]) -> None:
        super().__init__()
        self.features = tuple(features)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return self.features


def _features(shapes: Shapes, n: int = 2) -> list[Tensor]:
    torch.manual_seed(1)
    return [torch.randn(n, *shape) for shape in shapes]


def _reference(features: list[Tensor], dims: int) -> Tensor:
    """The reference implementation step by step: unfold, resize, pool each layer, pool the stack."""
    n, _, height, width = features[0].shape
    pooled = []
    for feature in features:
        channels, h, w = feature.shape[1:]
        patches = functional.unfold(feature, kernel_size=3, padding=1).reshape(n, -1, h, w)
        if (h, w) != (height, width):
            patches = functional.interpolate(
                patches, size=(height, width), mode="bilinear", align_corners=False
            )
        rows = patches.permute(0, 2, 3, 1).reshape(-1, 1, channels * 9)
        pooled.append(functional.adaptive_avg_pool1d(rows, dims)[:, 0])
    stacked = torch.stack(pooled, dim=1).reshape(len(pooled[0]), 1, -1)
    return functional.adaptive_avg_pool1d(stacked, dims).reshape(n, height * width, dims)


@pytest.mark.parametrize(
    ("shapes", "dims"),
    [
        pytest.param([(512, 8, 8), (1024, 4, 4)], 1024, id="wide_resnet50_2"),
        pytest.param([(128, 8, 8), (256, 4, 4)], 1024, id="resnet18"),
        pytest.param([(256, 9, 9), (512, 4, 4)], 1024, id="squeezenet1_0"),
        pytest.param([(111, 6, 6), (333, 3, 3)], 1024, id="odd"),
        pytest.param([(64, 8, 8), (128, 4, 4), (256, 2, 2)], 1024, id="three layers"),
        pytest.param([(256, 7, 7), (512, 4, 4), (1024, 2, 2)], 1024, id="three, odd grid"),
        pytest.param([(64, 8, 8), (64, 8, 8), (96, 4, 4), (80, 2, 2)], 1024, id="four layers"),
        pytest.param([(512, 6, 6)], 1024, id="one layer"),
        pytest.param([(2048, 3, 3)], 1024, id="more channels than dims"),
        pytest.param([(1536, 3, 3), (2048, 2, 2)], 1024, id="many channels"),
        pytest.param([(7, 5, 5), (97, 3, 3)], 1024, id="odd channels"),
        pytest.param([(1, 4, 4)], 1024, id="one channel"),
        pytest.param([(48, 5, 5), (112, 3, 3)], 100, id="other dims"),
        pytest.param([(40, 5, 5), (24, 3, 3), (32, 3, 3)], 7, id="few dims, three layers"),
    ],
)
def test_the_closed_form_equals_the_reference_step_by_step(shapes: Shapes, dims: int) -> None:
    features = _features(shapes)
    expected = _reference(features, dims)

    found = PatchEmbedder(_Given(features), shapes, dims)(torch.empty(0))

    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "shapes", [[(128, 8, 8), (256, 4, 4)], [(5, 6, 6)], [(7, 7, 7), (9, 7, 7), (3, 2, 2)]]
)
def test_the_mean_kind_is_the_plain_mean_of_three_by_three(shapes: Shapes) -> None:
    features = _features(shapes)
    _, height, width = shapes[0]
    layers = []
    for feature in features:
        padded = functional.pad(feature, (1, 1, 1, 1))
        h, w = feature.shape[2:]
        shifted = [padded[:, :, y : y + h, x : x + w] for y in range(3) for x in range(3)]
        mean = torch.stack(shifted).sum(dim=0) / 9
        layers.append(functional.interpolate(mean, (height, width), mode="bilinear", align_corners=False))
    expected = torch.cat(layers, dim=1).flatten(2).transpose(1, 2)

    embedder = PatchEmbedder(_Given(features), shapes, None)

    assert embedder.dims == sum(shape[0] for shape in shapes)
    torch.testing.assert_close(embedder(torch.empty(0)), expected, atol=1e-5, rtol=0)


def test_patches_are_numbered_line_by_line() -> None:
    feature = torch.zeros(1, 4, 3, 5)
    feature[0, :, 1, 4] = 1.0

    embeddings = PatchEmbedder(_Given([feature]), [(4, 3, 5)], None)(torch.empty(0))

    # The bright place and its neighbours, at the right edge of the middle line.
    lit = np.flatnonzero(embeddings[0].sum(dim=1).numpy())
    assert lit.tolist() == [3, 4, 8, 9, 13, 14]


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ([(8, 4, 4), (4, 8, 8)], "4x4, 8x8"),
        ([(8, 4, 4), (4, 2, 2), (4, 5, 5)], "finest grid"),
        ([(8, 28, 192)], r"\[1, 8, 28, 192\]"),
        ([(197, 768)], r"\[1, 197, 768\]"),
        ([(1000,)], r"\[1, 1000\]"),
    ],
)
def test_layers_that_give_no_suitable_maps_are_an_error(shapes: list[tuple[int, ...]], words: str) -> None:
    backbone = _Given([torch.zeros(1, *shape) for shape in shapes])

    with pytest.raises(OptionError, match=words):
        build_embedder(backbone, Preprocessing(image_size=64), "reference")


@pytest.mark.parametrize(("kind", "dims"), [("reference", 1024), ("mean", 20)])
def test_an_embedder_knows_its_grid_and_dims(kind: str, dims: int) -> None:
    backbone = _Given(_features([(8, 6, 6), (12, 3, 3)], n=1))

    embedder = build_embedder(
        backbone, Preprocessing(image_size=64), "mean" if kind == "mean" else "reference"
    )

    assert (embedder.grid_hw, embedder.dims) == ((6, 6), dims)
    assert embedder(torch.empty(0)).shape == (1, 36, dims)
