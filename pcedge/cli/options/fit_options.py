"""Command line options of a fit, for every command that fits."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from pcedge.errors import OptionError

from . import panels
from .shares import share

if TYPE_CHECKING:
    from pcedge.core.preprocessing import Preprocessing
    from pcedge.fitting.options import FitOptions

Backbone = Annotated[
    str | None,
    typer.Option(
        help="A torchvision network (wide_resnet50_2, resnet18, squeezenet1_0, ...); pcedge-s: small, "
        "fast, comes with pcedge; or an encoder of other pretraining (clip-rn50, clip-vit-b-16, dinov2-s, "
        "...; an unknown name lists all). Without it, the preset's; where that names none, wide_resnet50_2 "
        "or, where its weights are not on this machine and cannot be downloaded, pcedge-s.",
        show_default=False,
        rich_help_panel=panels.NETWORK,
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        help="A state dict (.pth, .safetensors) for the backbone, also one that pcedge distill wrote. "
        "Without it, torchvision's IMAGENET1K_V1 weights, those of CLIP or DINOv2 from their hub, or those "
        "of pcedge-s that come with pcedge.",
        show_default=False,
        rich_help_panel=panels.NETWORK,
    ),
]
Layers = Annotated[
    str | None,
    typer.Option(
        help="Layers to use, the finest grid first, separated by commas. For ResNets: layer2,layer3; for "
        "DINOv2: blocks.5,blocks.8.",
        show_default=False,
        rich_help_panel=panels.NETWORK,
    ),
]
Preset = Annotated[
    str,
    typer.Option(
        help="What the other options start from. whole: the whole image, nothing cropped away; "
        "official-224 and official-320: the official implementation's network, embedding, resize and crop, "
        "bank; paper-1% and paper-25%: the paper's other banks; edge: pcedge-s and a small bank.",
        rich_help_panel=panels.NETWORK,
    ),
]
ImageSize = Annotated[
    int | None,
    typer.Option(
        help="Resize the image to this size; with --crop, its shorter side.",
        show_default=False,
        rich_help_panel=panels.DATA,
    ),
]
Crop = Annotated[
    int | None,
    typer.Option(
        help="Cut out the central square of this size; 0 for none.",
        show_default=False,
        rich_help_panel=panels.DATA,
    ),
]
Embedding = Annotated[
    str | None,
    typer.Option(
        help="reference: 1,024 pooled values a patch, as in the paper's code; mean: the plain 3x3 mean "
        "of each channel, smaller for small networks. Without it, mean for pcedge-s, reference for the "
        "others.",
        show_default=False,
        rich_help_panel=panels.NETWORK,
    ),
]
Coreset = Annotated[
    str | None,
    typer.Option(
        help="Patches the bank keeps: a fraction (0.1), 10%, or a number of rows. Without it, the preset's; "
        "10% without a preset.",
        show_default=False,
        rich_help_panel=panels.BANK,
    ),
]
Neighbours = Annotated[
    int,
    typer.Option(
        help="Re-weight the image score by so many bank rows around the nearest one (the paper's equation "
        "7). 1 for none, as in the official implementation.",
        min=1,
        rich_help_panel=panels.BANK,
    ),
]
FalseRejectRate = Annotated[
    float | None,
    typer.Option(
        help="Share of good parts that may be called NG: 0.01 or 1%. Without it, 1% or the smallest rate "
        "that the number of images supports.",
        parser=share,
        metavar="SHARE",
        show_default=False,
        rich_help_panel=panels.THRESHOLD,
    ),
]
ReviewRate = Annotated[
    float | None,
    typer.Option(
        help="Share of good parts that may be called REVIEW or NG, with watch --review. Without "
        "it, 5% or twice the false-reject rate.",
        parser=share,
        metavar="SHARE",
        show_default=False,
        rich_help_panel=panels.THRESHOLD,
    ),
]
CalibrationKind = Annotated[
    str,
    typer.Option(
        help="How good images are held out to find thresholds. folds: each is scored against a bank made "
        "without its fold, so that all count and all are learned from; the rate is met in practice, and a "
        "weaker bound is proven. split: a third of them are kept from the bank; the rate is proven. "
        "leave-one-out: each is scored by the bank's rows of other images, which is faster "
        "with large banks; nothing is proven.",
        rich_help_panel=panels.THRESHOLD,
    ),
]
Groups = Annotated[
    str | None,
    typer.Option(
        help="Which images were taken together (one batch, one shift): folder, for the folder they lie in, "
        r"or a regular expression on their names with the group in parentheses, such as '(batch\d+)'. They "
        "are held out together, and the rates are for parts of a new group. Images that show the same part "
        "(copies) are found and grouped without it; each: every image counts by itself.",
        show_default=False,
        rich_help_panel=panels.THRESHOLD,
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        help="Of everything random.",
        min=0,
        rich_help_panel=panels.RUNTIME,
    ),
]
MemoryGb = Annotated[
    float | None,
    typer.Option(
        help="Memory the fit may use, in GB, above the loaded libraries; without it, 60 % of what is "
        "free. Where the embeddings do not fit, the bank is chosen in stages, with a stated bound.",
        min=0,
        show_default=False,
        rich_help_panel=panels.RUNTIME,
    ),
]
CacheGb = Annotated[
    float,
    typer.Option(
        help="Disk that cached features may use, in GB; 0 for no cache. A second fit of the same images, "
        "with another --coreset or more images, does not compute them again.",
        min=0,
        rich_help_panel=panels.RUNTIME,
    ),
]


@dataclass(frozen=True)
class Recipe:
    """The options as given; None or 0 for those not given."""

    preset: str
    backbone: str | None
    weights: Path | None
    layers: str | None
    image_size: int | None
    crop: int | None
    embedding: str | None
    coreset: str | None
    neighbours: int
    false_reject_rate: float | None
    seed: int
    device: str
    memory_gb: float | None
    cache_gb: float
    layout: str | None = None
    review_rate: float | None = None
    calibration: str = "folds"
    groups: str | None = None


def fit_options(recipe: Recipe) -> "FitOptions":
    """The fit's options: the preset, overridden by the given options.

    Raises:
        MissingExtraError: Fitting is not installed.
        OptionError: An option is invalid.
    """
    from pcedge.banks import CoresetSize
    from pcedge.bundles.manifest import EmbeddingKind
    from pcedge.fitting.options import FitOptions
    from pcedge.fitting.presets import find_preset
    from pcedge.thresholds.folds import CalibrationKind

    preset = find_preset(recipe.preset)
    calibrations: dict[str, CalibrationKind] = {kind: kind for kind in get_args(CalibrationKind)}
    if recipe.calibration not in calibrations:
        raise OptionError(
            f"There is no calibration {recipe.calibration!r}.",
            "Choose --calibration folds, split or leave-one-out.",
        )
    embedding = recipe.embedding
    if embedding not in (None, *get_args(EmbeddingKind)):
        raise OptionError(f"There is no embedding {embedding!r}.", "Choose --embedding reference or mean.")
    other_network = recipe.backbone not in (None, preset.backbone)
    default_embedding = None if other_network else preset.embedding
    layers = () if other_network else preset.layers
    return FitOptions(
        backbone=recipe.backbone or preset.backbone,
        weights=recipe.weights,
        layers=split_layers(recipe.layers) or layers,
        preprocessing=_preprocessing(preset.preprocessing, recipe.image_size, recipe.crop),
        embedding="mean" if embedding == "mean" else "reference" if embedding else default_embedding,
        coreset=CoresetSize.parse(recipe.coreset) if recipe.coreset else preset.coreset,
        false_reject_rate=recipe.false_reject_rate,
        review_rate=recipe.review_rate,
        calibration=calibrations[recipe.calibration],
        groups=recipe.groups,
        neighbours=recipe.neighbours,
        seed=recipe.seed,
        device=recipe.device,
        memory_gb=recipe.memory_gb,
        cache_gb=recipe.cache_gb,
        layout=recipe.layout,
    )


def split_layers(layers: str | None) -> tuple[str, ...]:
    """The named layers; empty if none were named."""
    return tuple(name.strip() for name in layers.split(",")) if layers else ()


def _preprocessing(chosen: "Preprocessing", image_size: int | None, crop: int | None) -> "Preprocessing":
    if image_size is None and crop is None:
        return chosen
    return replace(
        chosen,
        image_size=chosen.image_size if image_size is None else image_size,
        crop=chosen.crop if crop is None else crop or None,
    )
