"""``pcedge fit``."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from pcedge.defaults import DEFAULT_CACHE_GB, DEFAULT_MODELS
from pcedge.errors import OptionError

from . import options

if TYPE_CHECKING:
    from pcedge.fit_options import FitOptions
    from pcedge.fitting import FitResult
    from pcedge.preprocessing import Preprocessing


def fit(
    dataset: Annotated[
        Path,
        typer.Argument(
            help="A folder in MVTec layout (train/good, test/<kind>) or a plain folder of good images; "
            "pcedge datasets lists the layouts.",
            show_default=False,
        ),
    ],
    layout: options.Layout = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="A torchvision network (wide_resnet50_2, resnet18, squeezenet1_0, ...), or pcedge-s: small, "
            "fast, comes with pcedge. Without it, wide_resnet50_2; where its weights are not on this machine "
            "and cannot be downloaded, pcedge-s.",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="A state dict (.pth, .safetensors) for the backbone, also one that pcedge distill wrote. "
            "Without it, torchvision's IMAGENET1K_V1 weights, or those of pcedge-s that come with pcedge.",
            show_default=False,
        ),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(
            help="Layers to use, the finest grid first, separated by commas. For ResNets: layer2,layer3.",
            show_default=False,
        ),
    ] = None,
    preset: Annotated[
        str,
        typer.Option(
            help="How pictures are prepared. whole: the whole picture, nothing cropped away; "
            "official-224 and official-320: the paper's resize and centre crop."
        ),
    ] = "whole",
    image_size: Annotated[
        int | None,
        typer.Option(
            help="Resize the picture to this size; with --crop, its shorter side.",
            show_default=False,
        ),
    ] = None,
    crop: Annotated[
        int | None,
        typer.Option(help="Cut out the central square of this size; 0 for none.", show_default=False),
    ] = None,
    embedding: Annotated[
        str | None,
        typer.Option(
            help="reference: 1,024 pooled values a patch, as in the paper's code; mean: the plain 3x3 mean "
            "of each channel, smaller for small networks. Without it, mean for pcedge-s, reference for the "
            "others.",
            show_default=False,
        ),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            help="Use the exported network and the preprocessing of this bundle (its directory, or its name "
            "below --models). Needs no PyTorch, and both products share one loaded network.",
            show_default=False,
        ),
    ] = None,
    coreset: Annotated[
        str,
        typer.Option(help="Patches the bank keeps: a fraction (0.1), 10%, or a number of rows."),
    ] = "0.1",
    false_reject_rate: Annotated[
        float | None,
        typer.Option(
            help="Share of good parts that may be called NG. Without it, 0.01 or the smallest rate that the "
            "number of images supports.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.", min=0)] = 0,
    device: options.Device = "auto",
    memory_gb: Annotated[
        float | None,
        typer.Option(
            help="Memory the fit may use, in GB, above the loaded libraries; without it, 60 % of what is "
            "free. Where the embeddings do not fit, the bank is chosen in stages, with a stated bound.",
            min=0,
            show_default=False,
        ),
    ] = None,
    cache_gb: Annotated[
        float,
        typer.Option(
            help="Disk that cached features may use, in GB; 0 for no cache. A second fit of the same images, "
            "with another --coreset or more images, does not compute them again.",
            min=0,
        ),
    ] = DEFAULT_CACHE_GB,
    models: options.ModelsDir = DEFAULT_MODELS,
    name: Annotated[
        str | None,
        typer.Option(help="Of the bundle. Without it, the dataset's folder name.", show_default=False),
    ] = None,
    json: options.Json = False,
) -> None:
    """Fit PatchCore on good images and write a bundle, which becomes the current one.

    The threshold comes from the good images alone: every image is scored against a bank that was made
    without its fold.
    """
    from pcedge.banks import CoresetSize
    from pcedge.bundle import find_bundle
    from pcedge.fit_options import FitOptions
    from pcedge.fitting import fit as fit_dataset
    from pcedge.manifest import EmbeddingKind

    from .console import progress_bars

    if embedding not in (None, *get_args(EmbeddingKind)):
        raise OptionError(f"There is no embedding {embedding!r}.", "Choose --embedding reference or mean.")
    given = (backbone, weights, layers, embedding, image_size, crop)
    if like and (preset != "whole" or any(option is not None for option in given)):
        raise OptionError(
            "--like takes the network and the preprocessing of another bundle as they are.",
            "Leave out --backbone, --weights, --layers, --embedding, --preset, --image-size and --crop.",
        )
    chosen = FitOptions(
        backbone=backbone,
        weights=weights,
        layers=tuple(layer.strip() for layer in layers.split(",")) if layers else (),
        preprocessing=_preprocessing(preset, image_size, crop),
        embedding="mean" if embedding == "mean" else "reference" if embedding else None,
        coreset=CoresetSize.parse(coreset),
        false_reject_rate=false_reject_rate,
        seed=seed,
        device=device,
        memory_gb=memory_gb,
        cache_gb=cache_gb,
        like=find_bundle(like, models) if like else None,
        models=models,
        name=name,
        layout=layout,
    )
    with progress_bars() as progress:
        result = fit_dataset(dataset, chosen, progress)
    if json:
        _print_json(result)
    else:
        _print_summary(result, chosen)


def _preprocessing(preset: str, image_size: int | None, crop: int | None) -> "Preprocessing":
    from pcedge.preprocessing import PRESETS

    if preset not in PRESETS:
        raise OptionError(f"There is no preset {preset!r}.", f"Choose one of: {', '.join(PRESETS)}.")
    chosen = PRESETS[preset]
    if image_size is not None or crop is not None:
        chosen = replace(
            chosen,
            image_size=chosen.image_size if image_size is None else image_size,
            crop=chosen.crop if crop is None else crop or None,
        )
    return chosen


def _print_json(result: "FitResult") -> None:
    import json

    manifest = result.bundle.manifest
    print(
        json.dumps(
            {
                "bundle": str(result.bundle.directory),
                "backbone": manifest.backbone.name,
                "backbone_weights": manifest.backbone.weights,
                "offline_default": _offline_default(result),
                "images": manifest.images,
                "skipped": manifest.skipped,
                "cached": result.cached,
                "patches": manifest.bank.patches,
                "bank_rows": manifest.bank.rows,
                "radius": manifest.bank.radius,
                "guarantee": manifest.bank.guarantee,
                "threshold": manifest.threshold.score,
                "false_reject_rate": manifest.threshold.false_reject_rate,
                "outliers": result.outliers,
                "seconds": result.seconds,
                "bytes": _bytes(result),
            }
        )
    )


def _print_summary(result: "FitResult", chosen: "FitOptions") -> None:
    from .console import Facts, out, say

    manifest = result.bundle.manifest
    limit = manifest.threshold
    table = Facts(f"Fitted {manifest.dataset}")
    table.add("images", f"{manifest.images}, {result.cached} from the cache, {len(manifest.skipped)} skipped")
    note = "; the offline default, see below" if result.offline_default else ""
    table.add("backbone", f"{manifest.backbone.name}, {manifest.backbone.weights}{note}")
    table.add("patches", f"{manifest.bank.patches:,} of {manifest.embedding.dims:,} values")
    table.add("bank rows", f"{manifest.bank.rows:,}")
    table.add("coverage", f"radius {manifest.bank.radius:.4g}; {manifest.bank.guarantee}")
    table.add("size", f"{_bytes(result) / 1e6:,.1f} MB")
    table.add(
        "threshold",
        f"{limit.score:.4g}, false-reject rate {limit.false_reject_rate:.2%} ({limit.method})",
    )
    times = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in result.seconds.items())
    table.add("seconds", f"{sum(result.seconds.values()):.1f} ({times})")
    table.add("bundle", f"{result.bundle.directory} (now current)")
    out.print(table)
    _print_notes(result, chosen)
    say("Next: [bold]pcedge export[/]")


def _print_notes(result: "FitResult", chosen: "FitOptions") -> None:
    """What a person should look at before trusting the bundle."""
    from pcedge.threshold import DEFAULT_FALSE_REJECT_RATE, images_needed

    from .console import say

    manifest, limit = result.bundle.manifest, result.bundle.manifest.threshold
    if result.offline_default:
        say("[yellow]{reason}[/]", reason=_offline_default(result))
    for name, reason in list(manifest.skipped.items())[:5]:
        say("[yellow]Skipped[/] {name}: {reason}", name=name, reason=reason)
    if result.cache_problem:
        say("[yellow]The cache of features was switched off:[/] {problem}", problem=result.cache_problem)
    if result.outliers:
        worst = ", ".join(f"{name} ({score:.4g})" for name, score in list(result.outliers.items())[:5])
        say("[yellow]Look at these training images, they stand far out:[/] {worst}", worst=worst)
        if max(result.outliers.values()) >= limit.score:
            say(
                "The threshold lies that high because of them: remove those that are not good, or accept "
                "more false rejects with a larger --false-reject-rate."
            )
    if chosen.false_reject_rate is None and limit.false_reject_rate > DEFAULT_FALSE_REJECT_RATE:
        say(
            "[yellow]{images} images support a false-reject rate of {rate} at best;[/] {needed} would "
            "support {wanted}.",
            images=len(limit.held_out),
            rate=f"{limit.false_reject_rate:.2%}",
            needed=images_needed(DEFAULT_FALSE_REJECT_RATE),
            wanted=f"{DEFAULT_FALSE_REJECT_RATE:.0%}",
        )


def _offline_default(result: "FitResult") -> str:
    """Why ``pcedge-s`` was used without being asked for, and how to get the larger network; or nothing."""
    if result.offline_default is None:
        return ""
    return (
        f"No --backbone was named, and {result.bundle.manifest.backbone.name} was used: "
        f"{result.offline_default.what} For the larger network: {result.offline_default.hint}"
    )


def _bytes(result: "FitResult") -> int:
    return sum(file.size for file in result.bundle.manifest.files.values())
