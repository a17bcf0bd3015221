"""Options of the GANomaly-like detector."""

from pcedge.errors import OptionError
from pcedge.methods.reconstruction.settings import ReconstructionSettings


class GanSettings(ReconstructionSettings, frozen=True, kw_only=True):
    """Options of the GAN, in addition to those of all reconstruction methods: weights of the three losses.

    Attributes:
        adversarial: Weight of the loss on the discriminator's features.
        contextual: Weight of the loss on the images.
        encoder: Weight of the loss on the codes.
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
