"""Backbones: a torchvision network, cut off after the last layer used, with weights that were checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from pcedge.errors import OptionError, WeightsError
from pcedge.filterbank import FilterBank

FILTER_BANK = "filterbank"
DEFAULT_BACKBONE = "wide_resnet50_2"
# The reference's V1 weights, not torchvision's DEFAULT (V2): the published numbers belong to V1.
TORCHVISION_WEIGHTS = "IMAGENET1K_V1"
RESNET_LAYERS = ("layer2", "layer3")


@dataclass(frozen=True, eq=False)
class Backbone:
    """A truncated network and what is known of it.

    Attributes:
        module: Maps [n, 3, s, s] to one feature map a layer, in the order of ``layers``.
        name: Architecture, as torchvision names it.
        layers: The layers whose outputs are used, the finest grid first.
        weights: Where the weights came from, for people.
        weights_sha256: Digest of the used tensors.
    """

    module: nn.Module
    name: str
    layers: tuple[str, ...]
    weights: str
    weights_sha256: str


class _Features(nn.Module):
    """A feature extractor whose output is a tuple in a stated order.

    ``all_names`` are those of the whole network's tensors.
    """

    def __init__(self, extractor: nn.Module, layers: Sequence[str], all_names: frozenset[str]) -> None:
        super().__init__()
        self.extractor = extractor
        self.layers = tuple(layers)
        self.all_names = all_names

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        outputs = self.extractor(images)
        return tuple(outputs[layer] for layer in self.layers)


def load_backbone(name: str, layers: Sequence[str] = (), weights_file: Path | None = None) -> Backbone:
    """Load a pretrained backbone, truncated after the deepest of ``layers``.

    Args:
        name: A torchvision architecture, or ``filterbank`` (embedded, untrained).
        layers: Names of modules, such as ``layer2`` or ``features.7``; empty for the network's default.
        weights_file: A state dict to use instead of torchvision's hub cache.

    Raises:
        OptionError: Unknown network or layer.
        WeightsError: The weights cannot be had, are not a plain state dict, or are another network's.
    """
    network, chosen = _truncated(name, layers)
    if name == FILTER_BANK:
        if weights_file is not None:
            raise OptionError(
                f"The backbone {FILTER_BANK!r} has fixed filters and takes no --weights.",
                "Leave --weights out, or name the --backbone the weights are for.",
            )
        return _describe(network, name, chosen, "fixed filters, untrained")
    if weights_file is None:
        state, source = _hub_state(name), f"torchvision {TORCHVISION_WEIGHTS}"
    else:
        state, source = read_state(weights_file), weights_file.name
    load_state(network, state, source=source, name=name)
    return _describe(network, name, chosen, source)


def restore_backbone(name: str, layers: Sequence[str], state: dict[str, Tensor]) -> nn.Module:
    """Rebuild the truncated network that a bundle stores; ``state`` holds its tensors exactly."""
    network, _ = _truncated(name, layers)
    network.extractor.load_state_dict(state, strict=True)
    return network


def used_state(module: nn.Module) -> dict[str, Tensor]:
    """The tensors of a truncated backbone under the architecture's own names."""
    assert isinstance(module, _Features)
    return dict(module.extractor.state_dict())


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a plain state dict (``.pth``, ``.pt`` or ``.safetensors``) without ever unpickling objects."""
    if not path.is_file():
        raise WeightsError(f"There is no weights file {path}.", "Check the path given to --weights.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise a dozen kinds for a damaged file
        raise WeightsError(
            f"{path} is not a readable state dict ({type(error).__name__}).",
            "Expected a file written by torch.save(model.state_dict(), ...) or a .safetensors file; "
            "files that would have to be unpickled are refused.",
        ) from error
    if not isinstance(loaded, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in loaded.items()
    ):
        raise WeightsError(
            f"{path} holds {type(loaded).__name__}, not a state dict of tensors.",
            "Save the weights with torch.save(model.state_dict(), ...).",
        )
    return loaded


def load_state(network: _Features, state: dict[str, Tensor], *, source: str, name: str) -> None:
    """Load weights key by key: only what lies behind the last used layer may be missing or extra."""
    extractor = network.extractor
    assert isinstance(extractor, nn.Module)
    wanted = extractor.state_dict()
    optional = {key for key in wanted if key.endswith("num_batches_tracked")}
    missing = sorted(set(wanted) - set(state) - optional)
    unknown = sorted(set(state) - network.all_names)
    misshapen = sorted(k for k in wanted if k in state and state[k].shape != wanted[k].shape)
    problems = [
        f"{label} {', '.join(keys[:3])}{f' and {len(keys) - 3} more' if len(keys) > 3 else ''}"
        for label, keys in [("missing", missing), ("unknown", unknown), ("wrong shape", misshapen)]
        if keys
    ]
    if problems:
        raise WeightsError(
            f"The weights from {source} are not those of {name}: {'; '.join(problems)}.",
            "Give --backbone the network these weights belong to, or other --weights.",
        )
    extractor.load_state_dict({key: state.get(key, wanted[key]) for key in wanted}, strict=True)


def _truncated(name: str, layers: Sequence[str]) -> tuple[_Features, tuple[str, ...]]:
    full = _full_network(name)
    chosen = tuple(layers) or _default_layers(full, name)
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
    return _Features(extractor, chosen, frozenset(full.state_dict())).eval().requires_grad_(False), chosen


def _full_network(name: str) -> nn.Module:
    if name == FILTER_BANK:
        return FilterBank()
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise OptionError(
            f"There is no backbone {name!r}.",
            f"Use {FILTER_BANK} (embedded) or a torchvision network such as {DEFAULT_BACKBONE}, "
            "resnet18, resnet50, squeezenet1_0, vgg16 or efficientnet_b0.",
        )
    with torch.random.fork_rng(devices=[]):  # building a network must not move the caller's generator
        network: nn.Module = models.get_model(name, weights=None, **_constructor_options(name))
    return network


def _constructor_options(name: str) -> dict[str, bool]:
    # These two warn or build training-only heads unless told otherwise.
    return {"init_weights": False} if name in ("googlenet", "inception_v3") else {}


def _default_layers(network: nn.Module, name: str) -> tuple[str, ...]:
    children = dict(network.named_children())
    if all(layer in children for layer in RESNET_LAYERS):
        return RESNET_LAYERS
    raise OptionError(
        f"Which layers of {name} to use is not known.",
        "Name them, the finest first, for instance --layers features.7,features.12",
    )


def _hub_state(name: str) -> dict[str, Tensor]:
    from torchvision import models

    try:
        weights = getattr(models.get_model_weights(name), TORCHVISION_WEIGHTS)
    except AttributeError:
        raise WeightsError(
            f"torchvision has no {TORCHVISION_WEIGHTS} weights for {name}.",
            "Give the weights as a file: --weights FILE",
        ) from None
    cache = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
    try:
        if cache.is_file():
            return read_state(cache)
        state: dict[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        raise WeightsError(
            f"The pretrained weights of {name} are not on this machine and could not be downloaded "
            f"({error}).",
            f"Download {weights.url} elsewhere and put it at {cache}, or give it with --weights FILE. "
            f"To try the product offline: --backbone {FILTER_BANK}",
        ) from error
    return state


def _describe(network: _Features, name: str, layers: tuple[str, ...], source: str) -> Backbone:
    return Backbone(network, name, layers, source, state_digest(used_state(network)))


def state_digest(state: dict[str, Tensor]) -> str:
    """SHA-256 over the names and values of a state dict, independent of the file it came in."""
    digest = sha256()
    for key in sorted(state):
        digest.update(key.encode())
        digest.update(state[key].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
