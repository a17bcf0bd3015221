"""Options of the autoencoder."""

from typing import Literal

from pcedge.methods.reconstruction.settings import ReconstructionSettings


class AeSettings(ReconstructionSettings, frozen=True, kw_only=True):
    """Options of the autoencoder, in addition to those of all reconstruction methods.

    Attributes:
        loss: ``ssim``: structural similarity, for training and scores; ``l2``: squared differences.
    """

    loss: Literal["ssim", "l2"] = "ssim"
