"""Backbones: a network, cut off after the last layer used, with weights that were checked.

The network is one of torchvision's, the compact one that ships with the package, or an image encoder of
``pcedge.networks.encoders``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from torch import Tensor, nn

from pcedge.core.defaults import COMPACT
from pcedge.core.preprocessing import Preprocessing
from pcedge.core.progress import Progress, silent
from pcedge.errors import OptionError, WeightsError, WeightsUnavailableError

from .backbone_kinds import compact_kind, encoder_kind, torchvision_kind
from .backbone_kinds.kind import DEFAULT_SIZE, BackboneKind, FeatureExtractor
from .backbone_kinds.state_file import read_state

__all__ = [
    "BACKBONES",
    "DEFAULT_BACKBONE",
    "Backbone",
    "load_backbone",
    "load_default_backbone",
    "load_state",
    "preprocessing_for",
    "read_state",
    "restore_backbone",
    "state_digest",
    "used_state",
]

# A kind of backbone is one file and one line here; a name belongs to the first kind that knows it.
BACKBONES: tuple[BackboneKind, ...] = (compact_kind.KIND, encoder_kind.KIND, torchvision_kind.KIND)

DEFAULT_BACKBONE = "wide_resnet50_2"


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
    kind = _kind(name)
    network, chosen = kind.cut_off(name, layers, size)
    if weights_file is not None:
        state, source = read_state(weights_file), weights_file.name
    else:
        state, source = kind.weights(name, progress)
    state = kind.own_state(name, network.extractor, state)
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


def preprocessing_for(name: str, preprocessing: Preprocessing) -> Preprocessing:
    """How images are made ready for a backbone: normalised as it was trained, unless otherwise asked for.

    Raises:
        OptionError: There is no such backbone, or it does not take this size.
    """
    return _kind(name).prepare(name, preprocessing)


def pyramid_layers(name: str) -> tuple[str, ...]:
    """The layers of a backbone that a method takes which compares features at several scales.

    Raises:
        OptionError: There is no such backbone.
    """
    return _kind(name).pyramid(name)


def can_teach(name: str) -> bool:
    """Whether ``distill`` may imitate this backbone.

    Raises:
        OptionError: There is no such backbone.
    """
    return _kind(name).can_teach


def restore_backbone(name: str, layers: Sequence[str], state: dict[str, Tensor]) -> nn.Module:
    """Rebuild the truncated network that a bundle stores; ``state`` holds its tensors exactly."""
    kind = _kind(name)
    network, _ = kind.cut_off(name, layers, kind.size_of(name, state))
    network.extractor.load_state_dict(state, strict=True)
    return network


def used_state(module: nn.Module) -> dict[str, Tensor]:
    """The tensors of a truncated backbone under the architecture's own names."""
    assert isinstance(module, FeatureExtractor)
    return dict(module.extractor.state_dict())


def load_state(network: FeatureExtractor, state: dict[str, Tensor], *, source: str, name: str) -> None:
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


def _kind(name: str) -> BackboneKind:
    for kind in BACKBONES:
        if kind.matches(name):
            return kind
    raise OptionError(
        f"There is no backbone {name!r}.", f"Use {'; or '.join(kind.expected for kind in BACKBONES)}."
    )


def state_digest(state: dict[str, Tensor]) -> str:
    """SHA-256 over the names and values of a state dict, independent of the file it came in."""
    digest = sha256()
    for key in sorted(state):
        digest.update(key.encode())
        digest.update(state[key].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
