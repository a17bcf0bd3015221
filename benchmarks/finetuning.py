"""Fine-tuning on nominal images, before and after: does it help, and if not, what happens to the features?

Every network embeds a dataset once; banks with the coreset seeds 0, 1, ... are then measured on the labelled
images, so that what the tuning changes stands beside what the luck of the coreset changes. ``kept`` is what
``pcedge fit --finetune`` takes, which may be the network as it was; ``last`` is the network after the last
epoch, whatever the criterion said of it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from pcedge.banks import CoresetSize
from pcedge.cli.console import err, out, progress_bars
from pcedge.core.preprocessing import PRESETS
from pcedge.datasets import Dataset, open_dataset
from pcedge.networks.finetuning.options import (
    DEFAULT_EPOCHS,
    DEFAULT_LEARNING_RATE,
    FinetuneMethod,
    FinetuneOptions,
)

from .card import around_results, replace_results
from .command import Card, Json, environment, facts, print_environment, print_json, run
from .finetuning_page import BEGIN, METRICS, markdown, spread

if TYPE_CHECKING:
    from torch import Tensor

    from pcedge.bundles.finetune_record import FinetuneEpoch
    from pcedge.core.progress import Progress

    from .study import Study

PREPROCESSING = PRESETS["whole"]
Measured = dict[str, float | None]


@dataclass(frozen=True)
class Recipe:
    """What stays the same for all networks.

    Attributes:
        backbone: As ``--backbone`` takes it.
        weights: As ``--weights`` takes it.
        coreset: Patches the banks keep.
    """

    backbone: str
    weights: Path | None
    coreset: CoresetSize


@dataclass(frozen=True, eq=False)
class Tuned:
    """A finished tuning.

    Attributes:
        kept: The epoch whose weights were kept; 0 for the untouched ones.
        reason: Why.
        notes: What was noticed of the task.
        history: Measurements by epoch.
        states: The network's tensors by epoch.
        seconds: How long it took.
    """

    kept: int
    reason: str
    notes: tuple[str, ...]
    history: "tuple[FinetuneEpoch, ...]"
    states: "dict[int, dict[str, Tensor]]"
    seconds: float

    @property
    def last(self) -> int:
        """The last epoch."""
        return self.history[-1].epoch


def tune(
    dataset: Dataset, recipe: Recipe, options: FinetuneOptions, seed: int, progress: "Progress"
) -> Tuned:
    """Tune once, and remember the network of every epoch."""
    from pcedge.networks.backbones import load_backbone
    from pcedge.networks.embedder import default_embedding
    from pcedge.networks.finetuning.finetune import finetune

    backbone = load_backbone(recipe.backbone, (), recipe.weights)
    states: dict[int, dict[str, Tensor]] = {}
    record = finetune(
        backbone,
        dataset.train,
        PREPROCESSING,
        default_embedding(backbone.name),
        options,
        seed=seed,
        progress=progress,
        on_epoch=lambda measured, state: states.update({measured.epoch: state}),
    ).record
    return Tuned(record.kept, record.reason, record.notes, record.history, states, record.seconds)


def open_study(
    dataset: Dataset, recipe: Recipe, state: "Mapping[str, Tensor] | None", progress: "Progress"
) -> "Study":
    """Embed a dataset with the network as it was, or with the tensors of an epoch."""
    from pcedge.networks.backbones import load_backbone, restore_backbone
    from pcedge.networks.embedder import build_embedder, default_embedding

    from .study import Study

    backbone = load_backbone(recipe.backbone, (), recipe.weights)
    module = backbone.module
    if state is not None:
        module = restore_backbone(backbone.name, backbone.layers, dict(state))
    network = build_embedder(module, PREPROCESSING, default_embedding(backbone.name))
    return Study(dataset, network, PREPROCESSING, progress)


def measure(
    path: Path,
    recipe: Recipe,
    methods: Sequence[FinetuneMethod],
    options: FinetuneOptions,
    *,
    seeds: int,
    other_rates: Iterable[float],
    progress: "Progress",
    on_run: Callable[[str, Mapping[str, Any]], None],
) -> dict[str, Any]:
    """Before and after on one dataset.

    Args:
        path: The dataset, with labelled test images.
        recipe: Network and coreset.
        methods: Ways of tuning.
        options: How; the method in it counts for nothing.
        seeds: Of coreset and tuning, 0 to ``seeds`` - 1.
        other_rates: Learning rates that are tried with seed 0 only.
        progress: Called with the stages.
        on_run: Told of each tuning, once it is measured.
    """
    from .study import exact

    dataset = open_dataset(path)

    def study(state: "Mapping[str, Tensor] | None", name: str) -> Callable[[int], Measured]:
        found = open_study(dataset, recipe, state, _named(progress, f"{dataset.name}, {name}"))
        return lambda seed: found.measure(exact, recipe.coreset, seed)

    untouched = study(None, "before")
    before = [untouched(seed) for seed in range(seeds)]
    runs: dict[str, list[dict[str, Any]]] = {method: [] for method in methods}
    wanted = [(seed, options.learning_rate) for seed in range(seeds)]
    wanted += [(0, rate) for rate in other_rates]
    for (seed, rate), method in product(wanted, methods):
        name = f"{method}, seed {seed}, rate {rate:g}"
        chosen = replace(options, method=method, learning_rate=rate)
        tuned = tune(dataset, recipe, chosen, seed, _named(progress, f"{dataset.name}, {name}"))
        # The course of things is looked at once; of the other runs, only what counts.
        whole_course = (seed, rate) == (0, options.learning_rate)
        epochs = set(tuned.states) if whole_course else {tuned.kept, tuned.last}
        by_epoch = {0: before[seed]} | {
            epoch: study(tuned.states[epoch], f"{name}, epoch {epoch}")(seed)
            for epoch in sorted(epochs - {0})
        }
        runs[method].append(_described(tuned, seed, rate, by_epoch))
        on_run(f"{dataset.name}, {method}", runs[method][-1])
    return {"before": before, "methods": runs}


def _described(tuned: Tuned, seed: int, rate: float, by_epoch: Mapping[int, Measured]) -> dict[str, Any]:
    return {
        "seed": seed,
        "learning_rate": rate,
        "kept_epoch": tuned.kept,
        "reason": tuned.reason,
        "notes": tuned.notes,
        "seconds": tuned.seconds,
        "kept": by_epoch[tuned.kept],
        "last": by_epoch[tuned.last],
        "epochs": [
            {
                "epoch": one.epoch,
                "loss": one.loss,
                "accuracy": one.accuracy,
                "separation": one.separation,
                "gain": one.gain,
                "gain_error": one.gain_error,
                "cka": one.cka,
                **{metric: by_epoch.get(one.epoch, {}).get(metric) for metric in METRICS},
            }
            for one in tuned.history
        ],
    }


def _named(progress: "Progress", name: str) -> "Progress":
    return lambda stage, done, total: progress(f"{name}: {stage}", done, total)


def main(
    datasets: Annotated[
        list[Path],
        typer.Argument(help="Folders in MVTec layout with labelled test images.", show_default=False),
    ],
    weights: Annotated[
        Path | None, typer.Option(help="A state dict (.pth, .safetensors) for the backbone.")
    ] = None,
    backbone: Annotated[str, typer.Option(help="The network to tune.")] = "resnet18",
    method: Annotated[
        list[str] | None, typer.Option(help="rotation or cutmix; may be repeated. Without it, both.")
    ] = None,
    coreset: Annotated[
        str, typer.Option(help="Patches the banks keep: a fraction (0.01), 1%, or a number of rows.")
    ] = "0.01",
    seeds: Annotated[int, typer.Option(help="Seeds of the tuning and of the coreset.", min=1)] = 3,
    epochs: Annotated[int, typer.Option(help="Epochs of each tuning.", min=1)] = DEFAULT_EPOCHS,
    learning_rate: Annotated[float, typer.Option(help="Of all seeds.")] = DEFAULT_LEARNING_RATE,
    other_rate: Annotated[
        list[float] | None,
        typer.Option(help="Another learning rate, tried with seed 0 only; may be repeated."),
    ] = None,
    card: Card = None,
    as_json: Json = False,
) -> None:
    """Measure PatchCore before and after fine-tuning its backbone on the nominal images."""
    if card is not None:
        around_results(card, BEGIN)  # so that a wrong file is noticed before the long work
    recipe = Recipe(backbone, weights, CoresetSize.parse(coreset))
    # No patience: the course of things is what is looked at.
    given = method or get_args(FinetuneMethod)
    options = [
        FinetuneOptions(name, epochs, learning_rate, patience=epochs)  # type: ignore[arg-type]
        for name in given
    ]
    where = environment()
    with progress_bars() as progress:
        found = {
            str(path): measure(
                path,
                recipe,
                [one.method for one in options],
                options[0],
                seeds=seeds,
                other_rates=other_rate or (),
                progress=progress,
                on_run=lambda name, one: err.print(_course(name, one)),
            )
            for path in datasets
        }
    result = {
        "backbone": backbone,
        "coreset": coreset,
        "epochs": epochs,
        "learning_rate": learning_rate,
        "datasets": found,
        **where,
    }
    if card is not None:
        replace_results(card, markdown(result), BEGIN)
    if as_json:
        print_json(result)
    else:
        _print_tables(result)


def _print_tables(result: Mapping[str, Any]) -> None:
    for name, dataset in result["datasets"].items():
        for metric in METRICS:
            if dataset["before"][0][metric] is not None:
                out.print(_summary(Path(name).name, metric, dataset, result["learning_rate"]))
    print_environment(result)


def _summary(name: str, metric: str, dataset: Mapping[str, Any], rate: float) -> Any:
    table = facts(f"{name}: {metric.replace('_', ' ')}, mean and spread over seeds")
    before = [found[metric] for found in dataset["before"]]
    table.add_row("before", spread(before))
    for method, runs in dataset["methods"].items():
        for which in ("kept", "last"):
            after = [one[which][metric] for one in runs if one["learning_rate"] == rate]
            gains = [new - old for new, old in zip(after, before, strict=True)]
            table.add_row(f"{method}, {which}", f"{spread(after)}; same coreset seed: {spread(gains)}")
    return table


def _course(name: str, one: Mapping[str, Any]) -> Any:
    table = facts(
        f"{name}, seed {one['seed']}, learning rate {one['learning_rate']:g}: epoch {one['kept_epoch']} "
        f"kept; {one['seconds']:.0f} s"
    )
    for epoch in one["epochs"]:
        measured = ", ".join(
            f"{metric.replace('_', ' ')} {epoch[metric]:.4f}"
            for metric in METRICS
            if epoch[metric] is not None
        )
        table.add_row(
            f"epoch {epoch['epoch']}",
            f"loss {epoch['loss']:.3f}, task solved {epoch['accuracy']:.2f}, separation "
            f"{epoch['separation']:.4f}, CKA {epoch['cka']:.4f}; {measured or 'not measured'}",
        )
    return table


if __name__ == "__main__":
    run(main)
