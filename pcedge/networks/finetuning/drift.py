"""How features changed: linear CKA, cosine and effective rank, layer by layer."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pcedge.bundles.finetune_record import FeatureChange

# Patches compared: more would change no digit.
_MOST_ROWS = 8192

Rows = NDArray[np.float64]


def layer_rows(network: nn.Module, batches: Iterable[Tensor]) -> list[Rows]:
    """Features of each layer, [patches, channels], of images [n, 3, s, s]; evenly thinned out."""
    with torch.inference_mode():
        maps = [[one.float().cpu() for one in network(images)] for images in batches]
    rows = []
    for layer in zip(*maps, strict=True):
        patches = torch.cat([one.permute(0, 2, 3, 1).flatten(0, 2) for one in layer])
        step = -(-len(patches) // _MOST_ROWS)
        rows.append(patches[::step].double().numpy())
    return rows


def linear_cka(before: Rows, after: Rows) -> float:
    """Linear centred kernel alignment (Kornblith et al. 2019, equation 5): 1 for the same up to a turn."""
    x, y = before - before.mean(axis=0), after - after.mean(axis=0)
    across = np.square(x.T @ y).sum()
    within = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return float(across / within) if within > 0 else 0.0


def effective_rank(rows: Rows) -> float:
    """Exponential of the entropy of the singular values (Roy & Vetterli 2007), of centred rows."""
    centred = rows - rows.mean(axis=0)
    values = np.sqrt(np.clip(np.linalg.eigvalsh(centred.T @ centred), 0, None))
    shares = values[values > 0] / values.sum() if values.any() else np.ones(1)
    return float(np.exp(-(shares * np.log(shares)).sum()))


def compare(before: Rows, after: Rows) -> FeatureChange:
    """How a layer changed."""
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    cosines = (before * after).sum(axis=1) / np.where(lengths > 0, lengths, 1)
    return FeatureChange(
        cka=linear_cka(before, after),
        cosine=float(cosines.mean()),
        rank_before=effective_rank(before),
        rank_after=effective_rank(after),
    )
