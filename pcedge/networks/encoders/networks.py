"""From an encoder's name to a network that is cut off, and from weights as they are published to its own."""

from collections.abc import Sequence
from math import isqrt

from torch import Tensor, nn

from pcedge.errors import OptionError

from .catalogue import Encoder
from .clip_network import ClipVit, build_clip
from .dinov2_network import DinoV2, build_dinov2
from .tokens import resized_positions

# What a whole CLIP model holds beside its image encoder.
_TEXT_SIDE = (
    "transformer.",
    "token_embedding.",
    "positional_embedding",
    "ln_final.",
    "text_projection",
    "logit_scale",
    "input_resolution",
    "context_length",
    "vocab_size",
)
_IMAGE_SIDE = "visual."


def build_encoder(
    encoder: Encoder, layers: Sequence[str], size: int
) -> tuple[nn.Module, tuple[str, ...], frozenset[str]]:
    """Build an untrained encoder, cut off after the last of ``layers``.

    Args:
        encoder: Which.
        layers: Under the library's names; empty for the default.
        size: Side of the images in pixels, for which positions are laid out once.

    Returns:
        The network, which maps images to a map for each layer by name; the layers; and the names of all
        tensors of the whole network.

    Raises:
        MissingExtraError: The library that builds it is not installed.
        OptionError: There is no such layer, or the size is no whole number of patches.
    """
    encoder.check_size(size)
    chosen = tuple(layers) or encoder.default_layers
    known = encoder.all_layers
    if unknown := [layer for layer in chosen if layer not in known]:
        raise OptionError(
            f"{encoder.name} has no layer {unknown[0]!r}.",
            f"Its layers: {known[0]} to {known[-1]}; by default {', '.join(encoder.default_layers)}.",
        )
    if len(set(chosen)) != len(chosen):
        raise OptionError(f"A layer is named twice in {','.join(chosen)}.", "Name each layer once.")
    build = build_dinov2 if encoder.family == "dinov2" else build_clip
    network, names = build(encoder, chosen, size)
    return network, chosen, names


def own_state(encoder: Encoder, network: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the names of a network, with positions for its grid.

    Takes whole CLIP models and their image encoders alone, as OpenAI and open_clip name their tensors; and
    DINOv2 as its authors and timm do. Names it does not know are left for the strict check.
    """
    if encoder.family == "dinov2":
        state = _timm_names(state)
    elif any(name.startswith(_IMAGE_SIDE) for name in state):
        state = {
            name.removeprefix(_IMAGE_SIDE): value
            for name, value in state.items()
            if not name.startswith(_TEXT_SIDE)
        }
    match network:
        case ClipVit():
            return _with_positions(state, "positional_embedding", 1, network.side)
        case DinoV2():
            own = 0 if network.reg_token is not None else network.prefix
            return _with_positions(state, "pos_embed", own, network.side)
    return state


def size_of(encoder: Encoder, state: dict[str, Tensor]) -> int:
    """Side of the images that a stored encoder was built for; for a ResNet any."""
    if encoder.family == "clip-resnet":
        return 224
    positions = state["pos_embed" if encoder.family == "dinov2" else "positional_embedding"]
    prefix = 0 if "reg_token" in state else 1
    return isqrt(positions.shape[-2] - prefix) * encoder.patch


def _with_positions(state: dict[str, Tensor], name: str, prefix: int, side: int) -> dict[str, Tensor]:
    if name not in state:
        return state
    return {**state, name: resized_positions(state[name], prefix, side)}


def _timm_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """DINOv2's own names, where they differ, as timm has them."""
    renamed = {name: value for name, value in state.items() if name != "mask_token"}  # for training alone
    if {"register_tokens", "cls_token", "pos_embed"} <= set(renamed):
        # timm's networks with registers have positions for patches alone: the class token's is in the token.
        positions = renamed["pos_embed"]
        renamed["reg_token"] = renamed.pop("register_tokens")
        renamed["cls_token"] = renamed["cls_token"] + positions[:, :1]
        renamed["pos_embed"] = positions[:, 1:]
    return renamed
