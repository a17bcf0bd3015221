"""``pcedge fit``."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcedge.defaults import DEFAULT_CACHE_GB, DEFAULT_MODELS
from pcedge.errors import OptionError

from . import options, recipe, tuning

if TYPE_CHECKING:
    from pcedge.fit_options import FitOptions
    from pcedge.fitting import FitResult


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
    backbone: recipe.Backbone = None,
    weights: recipe.Weights = None,
    layers: recipe.Layers = None,
    preset: recipe.Preset = "whole",
    image_size: recipe.ImageSize = None,
    crop: recipe.Crop = None,
    embedding: recipe.Embedding = None,
    like: Annotated[
        str | None,
        typer.Option(
            help="Use the exported network and the preprocessing of this bundle (its directory, or its name "
            "below --models). Needs no PyTorch, and both products share one loaded network.",
            show_default=False,
        ),
    ] = None,
    finetune: tuning.Finetune = None,
    finetune_epochs: tuning.Epochs = None,
    finetune_lr: tuning.LearningRate = None,
    finetune_stages: tuning.Stages = None,
    finetune_minutes: tuning.Minutes = None,
    coreset: recipe.Coreset = None,
    neighbours: recipe.Neighbours = 1,
    false_reject_rate: recipe.FalseRejectRate = None,
    seed: recipe.Seed = 0,
    device: options.Device = "auto",
    memory_gb: recipe.MemoryGb = None,
    cache_gb: recipe.CacheGb = DEFAULT_CACHE_GB,
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
    from pcedge.bundle import find_bundle
    from pcedge.fitting import fit as fit_dataset

    from .console import progress_bars

    _refuse_ensemble(preset)
    given = (backbone, weights, layers, embedding, image_size, crop)
    if like and (preset != "whole" or any(option is not None for option in given)):
        raise OptionError(
            "--like takes the network and the preprocessing of another bundle as they are.",
            "Leave out --backbone, --weights, --layers, --embedding, --preset, --image-size and --crop.",
        )
    chosen = recipe.fit_options(
        recipe.Recipe(
            preset=preset,
            backbone=backbone,
            weights=weights,
            layers=layers,
            image_size=image_size,
            crop=crop,
            embedding=embedding,
            coreset=coreset,
            neighbours=neighbours,
            false_reject_rate=false_reject_rate,
            seed=seed,
            device=device,
            memory_gb=memory_gb,
            cache_gb=cache_gb,
            layout=layout,
        )
    )
    same_network = find_bundle(like, models) if like else None
    tuned = tuning.finetune_options(finetune, finetune_epochs, finetune_lr, finetune_stages, finetune_minutes)
    chosen = replace(chosen, like=same_network, finetune=tuned, models=models, name=name)
    with progress_bars() as progress:
        result = fit_dataset(dataset, chosen, progress)
    if json:
        _print_json(result)
    else:
        _print_summary(result, chosen)


def _refuse_ensemble(preset: str) -> None:
    from pcedge.presets import find_preset

    if find_preset(preset).members:
        raise OptionError(
            f"{preset} cannot be a bundle: an ensemble's scores only rank the images of one test set.",
            f"Evaluate it with: pcedge evaluate DATASET --all --preset {preset}",
        )


def _print_json(result: "FitResult") -> None:
    import json

    from msgspec import to_builtins

    manifest = result.bundle.manifest
    print(
        json.dumps(
            {
                "bundle": str(result.bundle.directory),
                "backbone": manifest.backbone.name,
                "backbone_weights": manifest.backbone.weights,
                "offline_default": _offline_default(result),
                "finetuning": to_builtins(manifest.backbone.finetuning),
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
    if manifest.backbone.finetuning:
        tuning.add_to(table, manifest.backbone.finetuning)
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
    for note in manifest.backbone.finetuning.notes if manifest.backbone.finetuning else ():
        say("[yellow]Fine-tuning:[/] {note}", note=note)
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
