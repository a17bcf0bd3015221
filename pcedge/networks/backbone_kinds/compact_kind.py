"""``pcedge-s``, the compact network that ships with the package."""

from collections.abc import Sequence
from importlib.metadata import version
from importlib.resources import files

import torch
from safetensors.torch import load
from torch import Tensor

from pcedge.core.defaults import COMPACT
from pcedge.core.progress import Progress
from pcedge.errors import WeightsError
from pcedge.networks.pcedge_s import COMPACT_LAYERS, CompactExtractor, CompactNet

from .cut_off import cut_off
from .kind import BackboneKind, FeatureExtractor, State

COMPACT_PYRAMID = ("stage1", "stage2", "stage3")


def _cut_off(name: str, layers: Sequence[str], _size: int) -> tuple[FeatureExtractor, tuple[str, ...]]:
    chosen = tuple(layers) or COMPACT_LAYERS
    with torch.random.fork_rng(devices=[]):  # building a network must not move the caller's generator
        if chosen != COMPACT_LAYERS:
            return cut_off(CompactNet(), name, chosen)
        whole = CompactExtractor()
    extractor = FeatureExtractor(whole, chosen, frozenset(whole.state_dict()))
    return extractor.eval().requires_grad_(False), chosen


def _weights(_name: str, _progress: Progress) -> tuple[State, str]:
    return _shipped_state(), f"shipped with pcedge {version('pcedge')}"


def _shipped_state() -> dict[str, Tensor]:
    try:
        return load((files("pcedge.networks") / "weights" / f"{COMPACT}.safetensors").read_bytes())
    except FileNotFoundError as error:
        raise WeightsError(
            f"The weights of {COMPACT} that belong to this package are missing.", "Install pcedge again."
        ) from error


KIND = BackboneKind(
    f"{COMPACT} (shipped with pcedge)",
    lambda name: name == COMPACT,
    _cut_off,
    _weights,
    pyramid=lambda _name: COMPACT_PYRAMID,
)
