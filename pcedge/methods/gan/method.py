"""The GANomaly-like detector as a method."""

from typing import TYPE_CHECKING

from pcedge.methods.reconstruction.method import ReconstructionMethod

from .settings import GanSettings

if TYPE_CHECKING:
    from .networks.network import GanTrainee


class Gan(ReconstructionMethod):
    """See :class:`pcedge.methods.Method`."""

    name = "gan"
    shrink = 4  # the paper's images have 32 pixels a side
    title = "GANomaly-like (Akcay et al., 2018)"
    settings = GanSettings

    def trainee(self, settings: GanSettings, side: int) -> "GanTrainee":
        """Generator, second encoder and discriminator, untrained."""
        from .networks.network import GanTrainee

        return GanTrainee(settings, side)


METHOD = Gan()
