"""Presets: named sets of fit options, so that results are comparable."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pcedge.banks import CoresetSize
from pcedge.core.preprocessing import PRESETS as PREPROCESSINGS
from pcedge.core.preprocessing import Preprocessing
from pcedge.errors import OptionError

_RESNET_LAYERS = ("layer2", "layer3")
_OFFICIAL_224, _OFFICIAL_320 = "224_p0.1", "320_p0.01"


@dataclass(frozen=True)
class Member:
    """One network of an ensemble.

    Attributes:
        backbone: Architecture.
        layers: Whose outputs are used; empty for its default.
        weights: A state dict to use instead of the library's.
    """

    backbone: str
    layers: tuple[str, ...]
    weights: Path | None = None


@dataclass(frozen=True)
class Preset:
    """Default options of a fit under one name.

    Attributes:
        about: Description.
        preprocessing: How an image becomes the network's input.
        coreset: How many patches the bank keeps.
        backbone: None for the default of the fit.
        layers: Whose outputs are used; empty for the backbone's default.
        embedding: None for the backbone's default.
        official: The configuration of the official implementation's published results that it reproduces;
            empty for none.
        paper: The share of patches in the paper's table that it reproduces; empty for none.
        members: Networks of an ensemble, instead of ``backbone`` and ``layers``.
    """

    about: str
    preprocessing: Preprocessing
    coreset: CoresetSize
    backbone: str | None = None
    layers: tuple[str, ...] = ()
    embedding: Literal["reference", "mean"] | None = None
    official: str = ""
    paper: str = ""
    members: tuple[Member, ...] = ()


def _wide(about: str, preprocessing: str, share: float, *, official: str = "", paper: str = "") -> Preset:
    """The paper's network and embedding."""
    return Preset(
        about,
        PREPROCESSINGS[preprocessing],
        CoresetSize(fraction=share),
        backbone="wide_resnet50_2",
        layers=_RESNET_LAYERS,
        embedding="reference",
        official=official,
        paper=paper,
    )


PRESETS = {
    "whole": Preset(
        "the whole image, nothing cropped away; 10 % of the patches",
        PREPROCESSINGS["whole"],
        CoresetSize(fraction=0.1),
    ),
    "official-224": _wide(
        "the official implementation at 224 px, 10 % of the patches",
        "official-224",
        0.1,
        official=_OFFICIAL_224,
        paper="10%",
    ),
    "official-320": _wide(
        "the official implementation at 320 px, 1 % of the patches",
        "official-320",
        0.01,
        official=_OFFICIAL_320,
    ),
    "paper-1%": _wide("the paper's table at 1 % of the patches", "official-224", 0.01, paper="1%"),
    "paper-25%": _wide("the paper's table at 25 % of the patches", "official-224", 0.25, paper="25%"),
    "edge": Preset(
        "pcedge-s, the whole image, 1 % of the patches: for devices without a GPU",
        PREPROCESSINGS["whole"],
        CoresetSize(fraction=0.01),
        backbone="pcedge-s",
        embedding="mean",
    ),
    "ensemble-320": Preset(
        "the official ensemble of three networks at 320 px, 1 % of the patches; for evaluation only",
        PREPROCESSINGS["official-320"],
        CoresetSize(fraction=0.01),
        embedding="reference",
        members=(
            Member("wide_resnet101_2", _RESNET_LAYERS),
            Member("resnext101_32x8d", _RESNET_LAYERS),
            Member("densenet201", ("features.denseblock2", "features.denseblock3")),
        ),
    ),
}


def find_preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        OptionError: There is no such preset.
    """
    if name not in PRESETS:
        raise OptionError(f"There is no preset {name!r}.", f"Choose one of: {', '.join(PRESETS)}.")
    return PRESETS[name]
