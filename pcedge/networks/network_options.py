"""What decides the network of a fit."""

from dataclasses import dataclass
from pathlib import Path

from pcedge.bundles.manifest import EmbeddingKind
from pcedge.core.preprocessing import Preprocessing

from .finetuning.options import FinetuneOptions


@dataclass(frozen=True)
class NetworkOptions:
    """What decides the network of a fit; the fields are those of ``pcedge.FitOptions``."""

    backbone: str | None
    weights: Path | None
    layers: tuple[str, ...]
    preprocessing: Preprocessing
    embedding: EmbeddingKind | None
    finetune: FinetuneOptions | None
    seed: int
    device: str
