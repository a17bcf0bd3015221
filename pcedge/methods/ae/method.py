"""The autoencoder as a method."""

from typing import TYPE_CHECKING

from pcedge.methods.reconstruction.method import ReconstructionMethod

from .settings import AeSettings

if TYPE_CHECKING:
    from .networks.network import AeTrainee


class Autoencoder(ReconstructionMethod):
    """See :class:`pcedge.methods.Method`."""

    name = "ae"
    shrink = 2  # the paper's images have 128 pixels a side
    title = "Autoencoder (Bergmann et al., 2018)"
    settings = AeSettings

    def trainee(self, settings: AeSettings, side: int) -> "AeTrainee":
        """The autoencoder, untrained."""
        from .networks.network import AeTrainee

        return AeTrainee(settings, side)


METHOD = Autoencoder()
