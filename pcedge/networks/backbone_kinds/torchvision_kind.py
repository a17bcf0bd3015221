"""torchvision's networks."""

from collections.abc import Sequence

import torch
from torch import nn

from pcedge.core.progress import Progress
from pcedge.errors import OptionError
from pcedge.networks.torchvision_weights import TORCHVISION_WEIGHTS, hub_file

from .cut_off import cut_off
from .kind import BackboneKind, FeatureExtractor, State
from .state_file import read_state

RESNET_LAYERS = ("layer2", "layer3")


def _is_known(name: str) -> bool:
    from torchvision import models

    return name in models.list_models(module=models)


def _cut_off(name: str, layers: Sequence[str], _size: int) -> tuple[FeatureExtractor, tuple[str, ...]]:
    from torchvision import models

    with torch.random.fork_rng(devices=[]):  # building a network must not move the caller's generator
        full: nn.Module = models.get_model(name, weights=None, **_constructor_options(name))
    return cut_off(full, name, tuple(layers) or _default_layers(full, name))


def _weights(name: str, progress: Progress) -> tuple[State, str]:
    return read_state(hub_file(name, progress)), f"torchvision {TORCHVISION_WEIGHTS}"


def _constructor_options(name: str) -> dict[str, bool]:
    # These two warn or build training-only heads unless switched off.
    return {"init_weights": False} if name in ("googlenet", "inception_v3") else {}


def _default_layers(network: nn.Module, name: str) -> tuple[str, ...]:
    children = dict(network.named_children())
    if all(layer in children for layer in RESNET_LAYERS):
        return RESNET_LAYERS
    raise OptionError(
        f"Which layers of {name} to use is not known.",
        "Name them, the finest first, for instance --layers features.7,features.12",
    )


KIND = BackboneKind(
    "a torchvision network such as wide_resnet50_2, resnet18, resnet50, squeezenet1_0, vgg16 or "
    "efficientnet_b0",
    _is_known,
    _cut_off,
    _weights,
)
