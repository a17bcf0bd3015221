"""Backbones: a network, cut off after the last layer used, with weights that were checked.

The network is one of torchvision's, the compact one that ships with the package, or an image encoder of
``pcedge.networks.encoders``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import torch
from safetensors.torch import load, load_file
from torch import Tensor, nn

from pcedge.core.defaults import COMPACT
from pcedge.core.progress import Progress, silent
from pcedge.errors import OptionError, WeightsError, WeightsUnavailableError

from .encoders import ENCODERS
from .encoders.hub_weights import encoder_file
from .encoders.networks import build_encoder, own_state, size_of
from .pcedge_s import COMPACT_LAYERS, CompactExtractor, CompactNet
from .torchvision_weights import TORCHVISION_WEIGHTS, hub_file

DEFAULT_BACKBONE = "wide_resnet50_2"
RESNET_LAYERS = ("layer2", "layer3")
# Side of the images where nobody says it: that of the preset ``whole``.
DEFAULT_SIZE = 224


@dataclass(frozen=True, eq=False)
class Backbone:
    """A truncated network and what is known of it.

    Attributes:
        module: Maps [n, 3, s, s] to one feature map a layer, in the order of ``layers``.
        name: ``pcedge-s``, one of ``ENCODERS``, or as torchvision names it.
        layers: The layers whose outputs are used, the finest grid first.
        weights: Where the weights came from, for people.
        weights_sha256: Digest of the used tensors.
    """

    module: nn.Module
    name: str
    layers: tuple[str, ...]
    weights: str
    weights_sha256: str


class _FeatureExtractor(nn.Module):
    """A feature extractor (images to maps by layer's name) whose output is a tuple in a stated order.

    ``all_names`` are those of the whole network's tensors.
    """

    extractor: nn.Module

    def __init__(self, extractor: nn.Module, layers: Sequence[str], all_names: frozenset[str]) -> None:
        super().__init__()
        self.extractor = extractor
        self.layers = tuple(layers)
        self.all_names = all_names

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        outputs = self.extractor(images)
        return tuple(outputs[layer] for layer in self.layers)


def load_backbone(
    name: str,
    layers: Sequence[str] = (),
    weights_file: Path | None = None,
    progress: Progress = silent,
    *,
    size: int = DEFAULT_SIZE,
) -> Backbone:
    """Load a pretrained backbone, truncated after the deepest of ``layers``.

    Args:
        name: A torchvision architecture, ``pcedge-s``, or one of ``ENCODERS``.
        layers: Names of modules, such as ``layer2`` or ``features.7``; empty for the network's default.
        weights_file: A state dict to use instead of the libraries' hub caches or the shipped weights.
        progress: Called with the stage ``download``, where weights have to be downloaded.
        size: Side of the images in pixels, to which transformers are tied.

    Raises:
        MissingExtraError: The library that builds the network is not installed.
        OptionError: Unknown network or layer, or a size that the network does not take.
        WeightsUnavailableError: No file is named, and the weights can neither be found nor downloaded.
        WeightsError: The weights cannot be used: no plain state dict, not finite, or another network's.
    """
    network, chosen = _truncated(name, layers, size)
    if weights_file is not None:
        state, source = read_state(weights_file), weights_file.name
    elif name in ENCODERS:
        state, source = read_state(encoder_file(ENCODERS[name], progress)), ENCODERS[name].repository
    elif name == COMPACT:
        state, source = _shipped_state(), f"shipped with pcedge {version('pcedge')}"
    else:
        state, source = read_state(hub_file(name, progress)), f"torchvision {TORCHVISION_WEIGHTS}"
    if name in ENCODERS:
        state = own_state(ENCODERS[name], network.extractor, state)
    load_state(network, state, source=source, name=name)
    return Backbone(network, name, chosen, source, state_digest(used_state(network)))


def load_default_backbone(
    layers: Sequence[str] = (), weights_file: Path | None = None, progress: Progress = silent
) -> tuple[Backbone, WeightsUnavailableError | None]:
    """Load what is used when nobody names a backbone: ``wide_resnet50_2``, without its weights ``pcedge-s``.

    Damaged weights and wrong options stay errors; so do missing weights where layers are named, since these
    are not those of ``pcedge-s``.

    Args:
        layers: As for ``load_backbone``.
        weights_file: As for ``load_backbone``.
        progress: As for ``load_backbone``.

    Returns:
        The backbone, and why it is ``pcedge-s`` if it is.
    """
    try:
        return load_backbone(DEFAULT_BACKBONE, layers, weights_file, progress), None
    except WeightsUnavailableError as error:
        if layers:
            raise
        return load_backbone(COMPACT), error


def restore_backbone(name: str, layers: Sequence[str], state: dict[str, Tensor]) -> nn.Module:
    """Rebuild the truncated network that a bundle stores; ``state`` holds its tensors exactly."""
    size = size_of(ENCODERS[name], state) if name in ENCODERS else DEFAULT_SIZE
    network, _ = _truncated(name, layers, size)
    network.extractor.load_state_dict(state, strict=True)
    return network


def used_state(module: nn.Module) -> dict[str, Tensor]:
    """The tensors of a truncated backbone under the architecture's own names."""
    assert isinstance(module, _FeatureExtractor)
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
        if "TorchScript" in str(error):
            raise WeightsError(
                f"{path} is a TorchScript archive, a program with weights, and is not run.",
                "OpenAI's CLIP files are such: take the safetensors file open_clip loads, or convert one "
                "that you trust with torch.save(torch.jit.load(FILE).state_dict(), NEW_FILE).",
            ) from error
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


def load_state(network: _FeatureExtractor, state: dict[str, Tensor], *, source: str, name: str) -> None:
    """Load weights key by key: only what lies behind the last used layer may be missing or extra."""
    extractor = network.extractor
    wanted = extractor.state_dict()
    optional = {key for key in wanted if key.endswith("num_batches_tracked")}
    missing = sorted(set(wanted) - set(state) - optional)
    unknown = sorted(set(state) - network.all_names)
    given = [key for key in wanted if key in state]
    misshapen = sorted(key for key in given if state[key].shape != wanted[key].shape)
    infinite = sorted(key for key in given if not bool(state[key].isfinite().all()))
    problems = [
        f"{label} {', '.join(keys[:3])}{f' and {len(keys) - 3} more' if len(keys) > 3 else ''}"
        for label, keys in [
            ("missing", missing),
            ("unknown", unknown),
            ("wrong shape", misshapen),
            ("not finite", infinite),
        ]
        if keys
    ]
    if problems:
        raise WeightsError(
            f"The weights from {source} are not those of {name}: {'; '.join(problems)}.",
            "Give --backbone the network these weights belong to, or other --weights.",
        )
    extractor.load_state_dict({key: state.get(key, wanted[key]) for key in wanted}, strict=True)


def _truncated(
    name: str, layers: Sequence[str], size: int = DEFAULT_SIZE
) -> tuple[_FeatureExtractor, tuple[str, ...]]:
    if name in ENCODERS:
        with torch.random.fork_rng(devices=[]):
            extractor, chosen, names = build_encoder(ENCODERS[name], layers, size)
        return _FeatureExtractor(extractor, chosen, names).eval().requires_grad_(False), chosen
    if name == COMPACT and tuple(layers) in ((), COMPACT_LAYERS):
        with torch.random.fork_rng(devices=[]):
            compact = CompactExtractor()
        names = frozenset(compact.state_dict())
        return _FeatureExtractor(compact, COMPACT_LAYERS, names).eval().requires_grad_(False), COMPACT_LAYERS
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
    return _FeatureExtractor(extractor, chosen, frozenset(full.state_dict())).eval().requires_grad_(
        False
    ), chosen


def _full_network(name: str) -> nn.Module:
    from torchvision import models

    if name != COMPACT and name not in models.list_models(module=models):
        raise OptionError(
            f"There is no backbone {name!r}.",
            f"Use {COMPACT} (shipped with pcedge); a torchvision network such as {DEFAULT_BACKBONE}, "
            "resnet18, resnet50, squeezenet1_0, vgg16 or efficientnet_b0; or one of "
            f"{', '.join(ENCODERS)}.",
        )
    with torch.random.fork_rng(devices=[]):  # building a network must not move the caller's generator
        if name == COMPACT:
            return CompactNet()
        network: nn.Module = models.get_model(name, weights=None, **_constructor_options(name))
    return network


def _constructor_options(name: str) -> dict[str, bool]:
    # These two warn or build training-only heads unless told otherwise.
    return {"init_weights": False} if name in ("googlenet", "inception_v3") else {}


def _default_layers(network: nn.Module, name: str) -> tuple[str, ...]:
    if name == COMPACT:
        return COMPACT_LAYERS
    children = dict(network.named_children())
    if all(layer in children for layer in RESNET_LAYERS):
        return RESNET_LAYERS
    raise OptionError(
        f"Which layers of {name} to use is not known.",
        "Name them, the finest first, for instance --layers features.7,features.12",
    )


def _shipped_state() -> dict[str, Tensor]:
    try:
        return load((files("pcedge.networks") / "weights" / f"{COMPACT}.safetensors").read_bytes())
    except FileNotFoundError as error:
        raise WeightsError(
            f"The weights of {COMPACT} that belong to this package are missing.", "Install pcedge again."
        ) from error


def state_digest(state: dict[str, Tensor]) -> str:
    """SHA-256 over the names and values of a state dict, independent of the file it came in."""
    digest = sha256()
    for key in sorted(state):
        digest.update(key.encode())
        digest.update(state[key].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
