"""How the compact network is trained: it imitates a pretrained teacher on made-up or given images."""

from .augmentation import with_local_change
from .batches import BatchSettings
from .distill import DistillResult, distill
from .objective import HeldOutAgreement
from .options import DistillOptions
from .procedural.scenes import render

__all__ = [
    "BatchSettings",
    "DistillOptions",
    "DistillResult",
    "HeldOutAgreement",
    "distill",
    "render",
    "with_local_change",
]
