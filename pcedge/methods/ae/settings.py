"""What the autoencoder can be told."""

from typing import Literal

from pcedge.methods.reconstruction.settings import ReconstructionSettings


class AeSettings(ReconstructionSettings, frozen=True, kw_only=True):
    """What the autoencoder can be told, beside what all such methods can.

    Attributes:
        loss: ``ssim``: structural similarity, trained by and scored by; ``l2``: squared differences.
    """

    loss: Literal["ssim", "l2"] = "ssim"
