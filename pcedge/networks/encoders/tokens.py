"""What transformers have in common: tokens in, maps out, with shapes that are known before an image comes.

The libraries' own forward passes ask a tensor for its shape as they go, which an exported graph would compute
for every frame and TensorRT cannot plan with. Here the number of tokens is fixed when the network is built.
"""

from collections.abc import Iterable, Sequence
from math import isqrt

import torch
from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Multi-head self-attention of a fixed number of tokens, in plain matrix products and a softmax.

    Args:
        tokens: How many.
        heads: How many.
        width: Values a token.
    """

    def __init__(self, tokens: int, heads: int, width: int) -> None:
        super().__init__()
        self.split = (-1, tokens, 3, heads, width // heads)
        self.joined = (-1, tokens, width)
        self.scale = float((width // heads) ** -0.5)

    def attend(self, projected: Tensor) -> Tensor:
        """Map queries, keys and values side by side, [n, tokens, 3 * width], to [n, tokens, width]."""
        parts = projected.reshape(self.split).permute(2, 0, 3, 1, 4)
        query, key, value = parts[0], parts[1], parts[2]
        # Scaled before the product, not after: in half precision the product could overflow.
        weights = ((query * self.scale) @ key.transpose(-2, -1)).softmax(dim=-1)
        return (weights @ value).transpose(1, 2).reshape(self.joined)


def block_number(layer: str) -> int:
    """Number of a block by its name, such as ``blocks.5``."""
    return int(layer.rsplit(".", 1)[1])


def add_prefix(patches: Tensor, table: Tensor, prefix: int) -> Tensor:
    """Put prefix tokens before patches and add the positions.

    Args:
        patches: Patch tokens [n, patches, width].
        table: [1, prefix + patches, width]: the prefix's tokens and positions, then the patches' positions.
        prefix: How many tokens come before the patches; no more than there are patches.
    """
    # The prefix is added to zeros made of patches: to copy it, a graph would ask for the batch's size.
    return torch.cat([patches[:, :prefix] * 0, patches], dim=1) + table


def tapped_maps(
    tokens: Tensor,
    blocks: Iterable[nn.Module],
    taps: Sequence[int],
    norm: nn.Module,
    prefix: int,
    shape_chw: tuple[int, int, int],
) -> list[Tensor]:
    """Run tokens through blocks and make maps of what some of them give, [n, width, side, side] each.

    The network's final norm is applied to each, as its own library does for intermediate layers on demand:
    it brings the tokens of all blocks to one scale, so that no block and none of the few channels in which
    transformers keep very large values outweighs the others in a distance.

    Args:
        tokens: [n, prefix + side * side, width].
        blocks: The transformer's blocks.
        taps: Numbers of the blocks whose output is wanted.
        norm: The final norm.
        prefix: How many tokens are no patches.
        shape_chw: Of a map: width, side, side.
    """
    found = {}
    for number, block in enumerate(blocks):
        tokens = block(tokens)
        if number in taps:
            patches: Tensor = norm(tokens)[:, prefix:]
            found[number] = patches.transpose(1, 2).reshape(-1, *shape_chw)
    return [found[number] for number in taps]


def resized_positions(positions: Tensor, prefix: int, side: int) -> Tensor:
    """Position embeddings [..., prefix + old * old, width] for another grid, those of the prefix unchanged.

    Bicubic and antialiased, as both libraries do it. What is no square grid is returned as it is, for the
    check of shapes to refuse.
    """
    patches = positions.shape[-2] - prefix
    old = isqrt(max(patches, 0))
    if old in (0, side) or old * old != patches:
        return positions
    flat = positions.reshape(-1, positions.shape[-1]).float()
    grid = flat[prefix:].reshape(1, old, old, -1).permute(0, 3, 1, 2)
    grid = functional.interpolate(grid, (side, side), mode="bicubic", antialias=True, align_corners=False)
    rows = torch.cat([flat[:prefix], grid.permute(0, 2, 3, 1).reshape(side * side, -1)])
    return rows.reshape(*positions.shape[:-2], *rows.shape)
