"""Feature pyramids of the baselines: several layers of a pretrained network on one grid."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from pcedge.core.defaults import COMPACT
from pcedge.core.progress import Progress
from pcedge.errors import WeightsUnavailableError
from pcedge.fitting.options import FitOptions
from pcedge.networks.backbone_kinds.kind import RESNET_PYRAMID
from pcedge.networks.backbones import DEFAULT_BACKBONE, Backbone, load_backbone, pyramid_layers, read_state


class Pyramid(nn.Module):
    """Images to features of every cell of the finest grid: those of all layers, concatenated.

    A cell of a coarser layer covers several cells of the finest grid, which all get its features. Both papers
    use the activations that correspond to a position and mention no interpolation.

    Args:
        backbone: Maps [n, 3, s, s] to one feature map per layer, the finest first.
        shapes_chw: Shape (channels, height, width) of each of these feature maps.
        chosen: Ascending indices into the concatenated channels of all layers; None for all.
    """

    def __init__(
        self,
        backbone: nn.Module,
        shapes_chw: Sequence[tuple[int, int, int]],
        chosen: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.grid_hw = shapes_chw[0][1:]
        self.cells = self.grid_hw[0] * self.grid_hw[1]
        self._channels = [shape[0] for shape in shapes_chw]
        self.chosen = tuple(range(sum(self._channels))) if chosen is None else tuple(chosen)
        self.dims = len(self.chosen)
        self._resize = [shape[1:] != self.grid_hw for shape in shapes_chw]
        first = 0
        self._taken = []
        for number, channels in enumerate(self._channels):
            mine = [one - first for one in self.chosen if first <= one < first + channels]
            self.register_buffer(f"channels{number}", torch.tensor(mine, dtype=torch.int64), persistent=False)
            self._taken.append(len(mine))
            first += channels

    def forward(self, images: Tensor) -> Tensor:
        """Map images [n, 3, s, s] to features [n, cells, dims], cells in row-major order."""
        layers = []
        for number, features in enumerate(self.backbone(images)):
            if self._taken[number]:
                layers.append(self._on_finest_grid(number, features))
        return torch.cat(layers, dim=1).flatten(2).transpose(1, 2)

    def _on_finest_grid(self, number: int, features: Tensor) -> Tensor:
        if self._taken[number] < self._channels[number]:
            features = features.index_select(1, self.get_buffer(f"channels{number}"))
        if not self._resize[number]:
            return features
        return functional.interpolate(features, size=self.grid_hw, mode="nearest")


def load_pyramid_backbone(
    options: FitOptions, progress: Progress, *, last: str = ""
) -> tuple[Backbone, WeightsUnavailableError | None]:
    """Load the requested or default backbone with the layers of a pyramid.

    Args:
        options: Backbone, weights, and layers in place of the pyramid's.
        progress: Progress callback; stage ``download``, if weights are downloaded.
        last: A layer to add for a ResNet, if the weights include it.

    Returns:
        The backbone, and why ``pcedge-s`` is the default, if it is.

    Raises:
        WeightsError: There are no weights for it.
        OptionError: The backbone does not exist, or has no such layers.
    """
    named = options.backbone or DEFAULT_BACKBONE
    layers, size = options.layers or pyramid_layers(named), options.preprocessing.input_size
    if last and layers == RESNET_PYRAMID and not options.layers and _go_so_far(options.weights, last):
        layers = (*layers, last)
    try:
        return load_backbone(named, layers, options.weights, progress, size=size), None
    except WeightsUnavailableError as error:
        if options.backbone is None and not options.layers:
            return load_backbone(COMPACT, pyramid_layers(COMPACT)), error
        raise WeightsUnavailableError(
            error.what, f"{error.hint} Without a download: --backbone {COMPACT}"
        ) from error


def _go_so_far(weights: Path | None, layer: str) -> bool:
    """Whether the weights include a layer: a file may have been truncated before it."""
    return weights is None or any(f".{layer}." in f".{name}" for name in read_state(weights))
