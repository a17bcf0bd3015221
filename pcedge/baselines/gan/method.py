"""The GANomaly-like detector as a method."""

from typing import TYPE_CHECKING, Any

from pcedge.errors import OptionError

from ..reconstruction import ReconstructionMethod, ReconstructionSettings

if TYPE_CHECKING:
    from .network import GanTrainee


class GanSettings(ReconstructionSettings, frozen=True, kw_only=True):
    """What it can be told, beside what all such methods can: the paper's weights of the three losses.

    Attributes:
        adversarial: Of the discriminator's features being alike.
        contextual: Of the pictures being alike.
        encoder: Of the codes being alike.
    """

    learning_rate: float = 2e-4
    adversarial: float = 1.0
    contextual: float = 50.0
    encoder: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("adversarial", "contextual", "encoder"):
            weight = getattr(self, name)
            if not 0 <= weight < float("inf") or (name == "contextual" and not weight):
                raise OptionError(
                    f"A weight of {weight} for the {name} loss makes no sense.",
                    "Leave it out for the paper's, or give a positive number.",
                )


class Gan(ReconstructionMethod):
    """See :class:`pcedge.baselines.Method`."""

    name = "gan"
    shrink = 4  # the paper's pictures have 32 pixels a side
    title = "GANomaly-like (Akcay et al., 2018)"
    settings = GanSettings

    def trainee(self, settings: GanSettings, side: int) -> "GanTrainee":
        """Generator, second encoder and discriminator, untrained."""
        from .network import GanTrainee

        return GanTrainee(settings, side)


METHOD: Any = Gan()
