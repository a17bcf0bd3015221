"""A network of named modules, cut off after the layers that are used."""

from torch import nn

from pcedge.errors import OptionError

from .kind import FeatureExtractor


def cut_off(full: nn.Module, name: str, chosen: tuple[str, ...]) -> tuple[FeatureExtractor, tuple[str, ...]]:
    """The network up to the deepest of some layers, which gives the outputs of all of them.

    Raises:
        OptionError: There is no such layer, or it is not on the way to the result.
    """
    known = {module for module, _ in full.named_modules() if module}
    unknown = [layer for layer in chosen if layer not in known]
    if unknown:
        top = [module for module in known if module.count(".") <= 1]
        raise OptionError(
            f"{name} has no layer {unknown[0]!r}.",
            f"Its layers: {', '.join(sorted(top)[:40])}.",
        )
    if len(set(chosen)) != len(chosen):
        raise OptionError(f"A layer is named twice in {','.join(chosen)}.", "Name each layer once.")
    from torchvision.models.feature_extraction import create_feature_extractor

    try:
        extractor = create_feature_extractor(
            full.eval(), {layer: layer for layer in chosen}, suppress_diff_warning=True
        )
    except ValueError as error:
        raise OptionError(
            f"{name} does not use all of the layers {', '.join(chosen)} on the way to its result.",
            "Name layers of the main path, not auxiliary ones.",
        ) from error
    return FeatureExtractor(extractor, chosen, frozenset(full.state_dict())).eval().requires_grad_(
        False
    ), chosen
