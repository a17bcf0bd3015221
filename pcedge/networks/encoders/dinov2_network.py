"""DINOv2's vision transformers (Oquab et al. 2023, arXiv 2304.07193), built by timm and cut off.

With registers: Darcet et al. 2023, arXiv 2309.16588.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pcedge.errors import MissingExtraError

from .catalogue import Encoder
from .tokens import Attention, add_prefix, block_number, tapped_maps


class DinoV2(nn.Module):
    """A vision transformer up to the last of ``layers``: patch tokens of each, normed, as maps by name.

    Tensors have timm's names.
    """

    def __init__(self, network: Any, layers: Sequence[str]) -> None:
        super().__init__()
        self.taps = {name: block_number(name) for name in layers}
        self.patch_embed = network.patch_embed
        self.cls_token = network.cls_token
        self.reg_token = network.reg_token
        self.pos_embed = network.pos_embed
        self.blocks = network.blocks
        self.norm = network.norm
        self.side: int = network.patch_embed.grid_size[0]
        self.shape_chw = (network.embed_dim, self.side, self.side)
        self.patches = (-1, network.embed_dim, self.side**2)
        self.prefix: int = network.num_prefix_tokens
        for block in network.blocks:
            block.attn = _TimmAttention(block.attn, self.side**2 + self.prefix)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images [n, 3, s, s] to maps [n, width, s / 14, s / 14]."""
        patches = self.patch_embed.proj(images).reshape(self.patches).transpose(1, 2)
        tokens = add_prefix(patches, self._table(), self.prefix)
        taps = list(self.taps.values())
        maps = tapped_maps(tokens, self.blocks, taps, self.norm, prefix=self.prefix, shape_chw=self.shape_chw)
        return dict(zip(self.taps, maps, strict=True))

    def _table(self) -> Tensor:
        if self.reg_token is None:
            return torch.cat([self.cls_token + self.pos_embed[:, :1], self.pos_embed[:, 1:]], dim=1)
        # With registers, timm's networks have positions for patches alone.
        return torch.cat([self.cls_token, self.reg_token, self.pos_embed], dim=1)


class _TimmAttention(Attention):
    """The same tensors as timm's ``Attention``."""

    def __init__(self, source: Any, tokens: int) -> None:
        super().__init__(tokens, source.num_heads, source.attn_dim)
        self.qkv = source.qkv
        self.proj = source.proj

    def forward(self, tokens: Tensor, **_: Any) -> Tensor:
        projected: Tensor = self.proj(self.attend(self.qkv(tokens)))
        return projected


def build_dinov2(encoder: Encoder, layers: Sequence[str], size: int) -> tuple[nn.Module, frozenset[str]]:
    """Build an untrained encoder for images of a size, cut off after the last of ``layers``.

    Returns:
        The network, and the names of all tensors of the whole one.

    Raises:
        MissingExtraError: timm is not installed.
    """
    try:
        from timm import create_model
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "timm", "backbones", encoder.name) from None

    build = partial(create_model, encoder.architecture, img_size=size)
    with torch.device("meta"):
        names = frozenset(build().state_dict())
    last = max(map(block_number, layers))
    return DinoV2(build(depth=last + 1), layers), names
