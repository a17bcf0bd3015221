"""What a kind of backbone says of itself: its networks, cut off, and their pretrained weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from pcedge.core.preprocessing import Preprocessing
from pcedge.core.progress import Progress

# Side of the images where nobody says it: that of the preset ``whole``.
DEFAULT_SIZE = 224

# The papers' layers of a pyramid: the ends of a ResNet's first three blocks, strides 4, 8 and 16.
RESNET_PYRAMID = ("layer1", "layer2", "layer3")

State = dict[str, Tensor]


class FeatureExtractor(nn.Module):
    """A feature extractor (images to maps by layer's name) whose output is a tuple in a stated order.

    ``all_names`` are those of the whole network's tensors.
    """

    extractor: nn.Module

    def __init__(self, extractor: nn.Module, layers: Sequence[str], all_names: frozenset[str]) -> None:
        super().__init__()
        self.extractor = extractor
        self.layers = tuple(layers)
        self.all_names = all_names

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Map images to the feature maps of the layers, in their order."""
        outputs = self.extractor(images)
        return tuple(outputs[layer] for layer in self.layers)


def _as_they_are(_name: str, _network: nn.Module, state: State) -> State:
    return state


def _any_size(_name: str, _state: State) -> int:
    return DEFAULT_SIZE


def _resnet_pyramid(_name: str) -> tuple[str, ...]:
    return RESNET_PYRAMID


def _as_asked(_name: str, preprocessing: Preprocessing) -> Preprocessing:
    return preprocessing


@dataclass(frozen=True)
class BackboneKind:
    """A kind of backbone.

    Attributes:
        expected: Its names, for messages.
        matches: Whether a name is one of its own.
        cut_off: An untrained network by name, cut off after the last of some layers (none for its default),
            for images of a size; and the layers.
        weights: The pretrained weights of a name, downloaded if they are not here, and where they came from.
        own_state: Weights as they are published under the names of a network's own tensors.
        size_of: Side of the images that a stored network was built for.
        prepare: How images are made ready for a network, from what was asked for: its own mean and deviation
            in the place of ImageNet's, which are the default; sizes that it does not take are refused.
        pyramid: The layers that a method takes which compares features at several scales (PaDiM, SPADE).
        can_teach: Whether ``distill`` may imitate it: its images are normalised as ImageNet's networks want
            them, and it has a layer of eight pixels a patch.
    """

    expected: str
    matches: Callable[[str], bool]
    cut_off: Callable[[str, Sequence[str], int], tuple[FeatureExtractor, tuple[str, ...]]]
    weights: Callable[[str, Progress], tuple[State, str]]
    own_state: Callable[[str, nn.Module, State], State] = _as_they_are
    size_of: Callable[[str, State], int] = _any_size
    prepare: Callable[[str, Preprocessing], Preprocessing] = _as_asked
    pyramid: Callable[[str], tuple[str, ...]] = _resnet_pyramid
    can_teach: bool = True
