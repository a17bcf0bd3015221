"""Options of the autoencoder."""

from typing import Literal

from pcedge.methods.reconstruction.settings import ReconstructionSettings


class AeSettings(ReconstructionSettings, frozen=True, kw_only=True):
    """Options of the autoencoder, beside what all such methods can.

    Attributes:
        loss: ``ssim``: structural similarity, trained by and scored by; ``l2``: squared differences.
    """

    loss: Literal["ssim", "l2"] = "ssim"
