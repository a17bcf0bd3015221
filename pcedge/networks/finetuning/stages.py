"""Which of a backbone's weights are tuned: those of its late stages, without norms and biases."""

from torch import nn

from pcedge.core.defaults import COMPACT
from pcedge.errors import OptionError
from pcedge.networks.backbones import Backbone

# The compact network's one layer is a sum without weights of its own; this is what leads to it.
_COMPACT_STAGES = ("stage3", "detail", "context")


def trained_stages(backbone: Backbone, stages: tuple[str, ...]) -> tuple[str, ...]:
    """The stages asked for, or the last of the layers used.

    Raises:
        OptionError: A stage has no weights that the layers used depend on.
    """
    chosen = stages or (_COMPACT_STAGES if backbone.name == COMPACT else backbone.layers[-1:])
    parameters = dict(_network(backbone).named_parameters())
    for stage in chosen:
        if not any(_tunable(name, value, (stage,)) for name, value in parameters.items()):
            known = sorted({name.split(".")[0] for name in parameters})
            raise OptionError(
                f"{backbone.name} has no weights to tune in {stage!r}.",
                f"Name modules with --finetune-stages that have some, such as those in: {', '.join(known)}.",
            )
    return chosen


def tuned_parameters(backbone: Backbone, stages: tuple[str, ...]) -> dict[str, nn.Parameter]:
    """Convolutions' and linear layers' weights in these stages, by name.

    Norms and biases stay: with so few images of one kind, they would only learn its brightness. Where norms
    are folded into convolutions, the same holds of the norms that are left.
    """
    named = _network(backbone).named_parameters()
    return {name: value for name, value in named if _tunable(name, value, stages)}


def _tunable(name: str, value: nn.Parameter, stages: tuple[str, ...]) -> bool:
    weight = name.endswith("weight") and value.ndim in {2, 4}
    return weight and any(name == f"{stage}.weight" or name.startswith(f"{stage}.") for stage in stages)


def _network(backbone: Backbone) -> nn.Module:
    """The network under the architecture's own names, as a bundle stores it."""
    network = backbone.module.extractor
    assert isinstance(network, nn.Module)
    return network
