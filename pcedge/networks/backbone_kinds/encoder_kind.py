"""The image encoders of ``pcedge.networks.encoders``: CLIP's and DINOv2's."""

from collections.abc import Sequence

import torch
from torch import nn

from pcedge.core.preprocessing import Preprocessing
from pcedge.core.progress import Progress
from pcedge.networks.encoders import ENCODERS
from pcedge.networks.encoders.hub_weights import encoder_file
from pcedge.networks.encoders.networks import build_encoder, own_state, size_of

from .kind import RESNET_PYRAMID, BackboneKind, FeatureExtractor, State
from .state_file import read_state


def _cut_off(name: str, layers: Sequence[str], size: int) -> tuple[FeatureExtractor, tuple[str, ...]]:
    with torch.random.fork_rng(devices=[]):  # building a network must not move the caller's generator
        extractor, chosen, names = build_encoder(ENCODERS[name], layers, size)
    return FeatureExtractor(extractor, chosen, names).eval().requires_grad_(False), chosen


def _weights(name: str, progress: Progress) -> tuple[State, str]:
    return read_state(encoder_file(ENCODERS[name], progress)), ENCODERS[name].repository


def _own_state(name: str, network: nn.Module, state: State) -> State:
    return own_state(ENCODERS[name], network, state)


def _size_of(name: str, state: State) -> int:
    return size_of(ENCODERS[name], state)


def _prepare(name: str, preprocessing: Preprocessing) -> Preprocessing:
    return ENCODERS[name].prepare(preprocessing)


def _pyramid(name: str) -> tuple[str, ...]:
    # A transformer has the same grid in all layers: no pyramid, but its layers serve as one.
    encoder = ENCODERS[name]
    return RESNET_PYRAMID if encoder.patch == 1 else encoder.default_layers


KIND = BackboneKind(
    f"one of {', '.join(ENCODERS)}",
    lambda name: name in ENCODERS,
    _cut_off,
    _weights,
    _own_state,
    _size_of,
    _prepare,
    _pyramid,
    can_teach=False,
)
