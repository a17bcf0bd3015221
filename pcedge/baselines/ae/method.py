"""The autoencoder as a method."""

from typing import TYPE_CHECKING, Any, Literal

from ..reconstruction import ReconstructionMethod, ReconstructionSettings

if TYPE_CHECKING:
    from .network import AeTrainee


class AeSettings(ReconstructionSettings, frozen=True, kw_only=True):
    """What the autoencoder can be told, beside what all such methods can.

    Attributes:
        loss: ``ssim``: structural similarity, trained by and scored by; ``l2``: squared differences.
    """

    loss: Literal["ssim", "l2"] = "ssim"


class Autoencoder(ReconstructionMethod):
    """See :class:`pcedge.baselines.Method`."""

    name = "ae"
    shrink = 2  # the paper's pictures have 128 pixels a side
    title = "Autoencoder (Bergmann et al., 2018)"
    settings = AeSettings

    def trainee(self, settings: AeSettings, side: int) -> "AeTrainee":
        """The autoencoder, untrained."""
        from .network import AeTrainee

        return AeTrainee(settings, side)


METHOD: Any = Autoencoder()
