"""CLIP's image encoders (Radford et al. 2021, arXiv 2103.00020), built by open_clip and cut off."""

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from pcedge.errors import MissingExtraError

from .catalogue import Encoder
from .tokens import Attention, add_prefix, block_number, tapped_maps


class ClipResNet(nn.Module):
    """CLIP's modified ResNet up to the last of ``layers``: their outputs by name.

    Tensors have open_clip's names.
    """

    def __init__(self, network: Any, layers: Sequence[str]) -> None:
        super().__init__()
        for name, child in network.named_children():
            if not name.startswith(("layer", "attnpool")):
                self.add_module(name, child)
        last = max(layers)
        self.stages = [name for name in ("layer1", "layer2", "layer3", "layer4") if name <= last]
        for name in self.stages:
            self.add_module(name, getattr(network, name))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images [n, 3, s, s] to feature maps."""
        features = images
        for number in ("1", "2", "3"):
            for kind in ("conv", "bn", "act"):
                features = self.get_submodule(kind + number)(features)
        features = self.get_submodule("avgpool")(features)
        found = {}
        for name in self.stages:
            features = found[name] = self.get_submodule(name)(features)
        return found


class ClipVit(nn.Module):
    """CLIP's vision transformer up to the last of ``layers``: patch tokens of each, normed, as maps by name.

    Tensors have open_clip's names.
    """

    def __init__(self, network: Any, layers: Sequence[str]) -> None:
        super().__init__()
        self.taps = {name: block_number(name) for name in layers}
        self.conv1 = network.conv1
        self.class_embedding = network.class_embedding
        self.positional_embedding = network.positional_embedding
        self.ln_pre = network.ln_pre
        self.transformer = nn.Module()
        self.transformer.resblocks = network.transformer.resblocks
        self.ln_post = network.ln_post
        self.side: int = network.grid_size[0]
        self.shape_chw = (self.conv1.out_channels, self.side, self.side)
        self.patches = (-1, self.conv1.out_channels, self.side**2)
        for block in network.transformer.resblocks:
            block.attn = _ClipAttention(block.attn, self.side**2 + 1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images [n, 3, s, s] to maps [n, width, s / patch, s / patch]."""
        patches = self.conv1(images).reshape(self.patches).transpose(1, 2)
        table = torch.cat(
            [self.class_embedding[None] + self.positional_embedding[:1], self.positional_embedding[1:]]
        )
        tokens = add_prefix(patches, table[None], prefix=1)
        blocks = cast(nn.ModuleList, self.transformer.resblocks)
        taps = list(self.taps.values())
        maps = tapped_maps(
            self.ln_pre(tokens), blocks, taps, self.ln_post, prefix=1, shape_chw=self.shape_chw
        )
        return dict(zip(self.taps, maps, strict=True))


class _ClipAttention(Attention):
    """The same tensors as ``torch.nn.MultiheadAttention``."""

    def __init__(self, source: nn.MultiheadAttention, tokens: int) -> None:
        super().__init__(tokens, source.num_heads, source.embed_dim)
        self.in_proj_weight = source.in_proj_weight
        self.in_proj_bias = source.in_proj_bias
        self.out_proj = source.out_proj

    def forward(self, query: Tensor, *_: Any, **__: Any) -> tuple[Tensor, None]:
        attended = self.attend(functional.linear(query, self.in_proj_weight, self.in_proj_bias))
        return self.out_proj(attended), None


def build_clip(encoder: Encoder, layers: Sequence[str], size: int) -> tuple[nn.Module, frozenset[str]]:
    """Build an untrained encoder for images of a size, cut off after the last of ``layers``.

    Returns:
        The network, and the names of all tensors of the whole one.

    Raises:
        MissingExtraError: open_clip is not installed.
    """
    try:
        from open_clip import get_model_config
        from open_clip.modified_resnet import ModifiedResNet
        from open_clip.transformer import QuickGELU, VisionTransformer
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "open_clip", "backbones", encoder.name) from None

    config = get_model_config(encoder.architecture)
    vision = config["vision_cfg"]
    if encoder.family == "clip-resnet":
        build = partial(
            ModifiedResNet,
            layers=vision["layers"],
            width=vision["width"],
            heads=vision["width"] * 32 // 64,
            output_dim=config["embed_dim"],
        )
        with torch.device("meta"):
            names = frozenset(build().state_dict())
        return ClipResNet(build(), layers), names
    build = partial(
        VisionTransformer,
        patch_size=encoder.patch,
        width=vision["width"],
        heads=vision["width"] // vision.get("head_width", 64),
        mlp_ratio=vision.get("mlp_ratio", 4.0),
        output_dim=config["embed_dim"],
        act_layer=QuickGELU if config.get("quick_gelu") else nn.GELU,
    )
    with torch.device("meta"):
        names = frozenset(build(image_size=size, layers=encoder.depth).state_dict())
    last = max(map(block_number, layers))
    return ClipVit(build(image_size=size, layers=last + 1), layers), names
