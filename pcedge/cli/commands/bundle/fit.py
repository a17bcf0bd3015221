"""``pcedge fit``."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcedge.cli.options import common, finetune_options, fit_options, panels
from pcedge.cli.options.fit_rules import FIT_UNUSED
from pcedge.cli.options.given import refuse_unused
from pcedge.core.defaults import DEFAULT_CACHE_GB, DEFAULT_MODELS, DEFAULT_PICTURES_MB
from pcedge.errors import OptionError

if TYPE_CHECKING:
    from pcedge.bundles.bundle import Bundle
    from pcedge.fitting.options import FitOptions
    from pcedge.fitting.result import FitResult


def fit(
    ctx: typer.Context,
    dataset: Annotated[
        Path,
        typer.Argument(
            metavar="DATASET",
            help="A folder in MVTec layout (train/good, test/<kind>) or a plain folder of good images; "
            "pcedge datasets lists the layouts.",
            show_default=False,
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(
            help="Name of the bundle. Default: that of the product's folder, bottle for mvtec/bottle and for "
            "bottle/good.",
            show_default=False,
            rich_help_panel=panels.MODEL,
        ),
    ] = None,
    replace_other: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Replace a bundle of that name even if it is of another dataset. A line that runs with it "
            "keeps the old one until it is started anew.",
            rich_help_panel=panels.MODEL,
        ),
    ] = False,
    models: common.ModelsDir = DEFAULT_MODELS,
    layout: common.Layout = None,
    image_size: fit_options.ImageSize = None,
    crop: fit_options.Crop = None,
    backbone: fit_options.Backbone = None,
    preset: fit_options.Preset = "whole",
    weights: fit_options.Weights = None,
    layers: fit_options.Layers = None,
    embedding: fit_options.Embedding = None,
    like: Annotated[
        str | None,
        typer.Option(
            help="Use the exported network and the preprocessing of this bundle (its directory, or its name "
            "below --models). Needs no PyTorch, and both products share one loaded network.",
            show_default=False,
            rich_help_panel=panels.NETWORK,
        ),
    ] = None,
    coreset: fit_options.Coreset = None,
    neighbours: fit_options.Neighbours = 1,
    false_reject_rate: fit_options.FalseRejectRate = None,
    review_rate: fit_options.ReviewRate = None,
    calibration: fit_options.CalibrationKind = "folds",
    groups: fit_options.Groups = None,
    finetune: finetune_options.Finetune = None,
    finetune_epochs: finetune_options.Epochs = None,
    finetune_lr: finetune_options.LearningRate = None,
    finetune_stages: finetune_options.Stages = None,
    finetune_minutes: finetune_options.Minutes = None,
    method: Annotated[
        str,
        typer.Option(
            help="patchcore, or one it is compared with: padim, spade, ae, gan (docs/concepts/methods.md).",
            rich_help_panel=panels.METHOD,
        ),
    ] = "patchcore",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A setting of another method than PatchCore, such as dims=100 of padim. May be given "
            "several times.",
            show_default=False,
            rich_help_panel=panels.METHOD,
        ),
    ] = None,
    device: common.Device = "auto",
    memory_gb: fit_options.MemoryGb = None,
    cache_gb: fit_options.CacheGb = DEFAULT_CACHE_GB,
    seed: fit_options.Seed = 0,
    pictures_mb: Annotated[
        float,
        typer.Option(
            help="How much of the bundle may be small images of the training images, in MB: explanations "
            "show the nearest normal patch. Those with the most bank rows come first; 0 for none.",
            min=0,
            rich_help_panel=panels.OUTPUT,
        ),
    ] = DEFAULT_PICTURES_MB,
    json: common.Json = False,
) -> None:
    """Fit PatchCore on good images and write a bundle, which becomes the current one.

    The threshold comes from the good images alone: every image is scored against a bank that was made
    without its fold.

    With --method, fit a method that PatchCore is compared with; its bundle is evaluated, exported and watched
    like any other.
    """
    from pcedge.bundles.bundle import find_bundle
    from pcedge.cli.console import progress_bars
    from pcedge.methods import find_method

    from . import fit_other_method

    refuse_unused(ctx, FIT_UNUSED)
    _refuse_ensemble(preset)
    chosen = fit_options.fit_options(
        fit_options.Recipe(
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
            review_rate=review_rate,
            calibration=calibration,
            groups=groups,
            seed=seed,
            device=device,
            memory_gb=memory_gb,
            cache_gb=cache_gb,
            layout=layout,
        )
    )
    same_network = find_bundle(like, models) if like else None
    tuned = finetune_options.finetune_options(
        finetune, finetune_epochs, finetune_lr, finetune_stages, finetune_minutes
    )
    chosen = replace(
        chosen,
        like=same_network,
        finetune=tuned,
        models=models,
        name=name,
        replace=replace_other,
        pictures_mb=pictures_mb,
    )
    asked = find_method(method)
    if not asked.has_bank:
        # A preset's layers and embedding are meant for a memory bank.
        own_embedding = chosen.embedding if embedding else None
        chosen = replace(chosen, layers=fit_options.split_layers(layers), embedding=own_embedding)
    own_settings = fit_other_method.settings_of(settings or [])
    with progress_bars() as progress:
        result = asked.fit(dataset, chosen, own_settings, progress)
    if not asked.has_bank:
        fit_other_method.print_fit(result, chosen, json=json)
    elif json:
        _print_json(result)
    else:
        _print_summary(result, chosen)


def _refuse_ensemble(preset: str) -> None:
    from pcedge.fitting.presets import find_preset

    if find_preset(preset).members:
        raise OptionError(
            f"{preset} cannot be a bundle: an ensemble's scores only rank the images of one test set.",
            f"Evaluate it with: pcedge suite DATASET --preset {preset}",
        )


def _print_json(result: "FitResult[Bundle]") -> None:
    import json
    from dataclasses import asdict

    from msgspec import to_builtins

    from .fit_notes import offline_reason

    manifest = result.bundle.manifest
    print(
        json.dumps(
            {
                "bundle": str(result.bundle.directory),
                "backbone": manifest.backbone.name,
                "backbone_weights": manifest.backbone.weights,
                "offline_default": offline_reason(result),
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
                "proven_rate": manifest.threshold.proven_rate,
                "review_threshold": manifest.threshold.review,
                "review_rate": manifest.threshold.review_rate,
                "method": manifest.threshold.method,
                "calibration_guarantee": manifest.threshold.guarantee,
                "outliers": result.outliers,
                "dependent": result.dependent,
                "left_out": [asdict(one) for one in result.left_out],
                "seconds": result.seconds,
                "bytes": result.bundle.nbytes,
            }
        )
    )


def _print_summary(result: "FitResult[Bundle]", chosen: "FitOptions") -> None:
    from pcedge.cli.console import Facts, out, say

    from .fit_notes import print_notes

    manifest = result.bundle.manifest
    limit = manifest.threshold
    table = Facts(f"Fitted {manifest.dataset}")
    table.add("images", f"{manifest.images}, {result.cached} from the cache, {len(manifest.skipped)} skipped")
    note = "; the offline default, see below" if result.offline_default else ""
    table.add("backbone", f"{manifest.backbone.name}, {manifest.backbone.weights}{note}")
    if manifest.backbone.finetuning:
        finetune_options.add_to(table, manifest.backbone.finetuning)
    table.add("patches", f"{manifest.bank.patches:,} of {manifest.embedding.dims:,} values")
    table.add("bank rows", f"{manifest.bank.rows:,}")
    table.add("coverage", f"radius {manifest.bank.radius:.4g}; {manifest.bank.guarantee}")
    table.add("size", f"{result.bundle.nbytes / 1e6:,.1f} MB")
    table.add(
        "threshold",
        f"{limit.score:.4g}, false-reject rate {limit.false_reject_rate:.2%} ({limit.method})",
    )
    if limit.review is not None and limit.review_rate is not None:
        table.add("review", f"{limit.review:.4g}, {limit.review_rate:.2%} of good parts (watch --review)")
    table.add("guarantee", limit.guarantee)
    times = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in result.seconds.items())
    table.add("seconds", f"{sum(result.seconds.values()):.1f} ({times})")
    table.add("bundle", f"{result.bundle.directory} (now current)")
    out.print(table)
    print_notes(result, chosen.false_reject_rate)
    # With --like the network is already exported.
    say(
        "Next: [bold]pcedge {command}[/]",
        command="watch --camera 0" if result.bundle.is_exported else "export",
    )
