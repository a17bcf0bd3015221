"""Fine-tuning from end to end: tune, keep the best weights or those of the beginning, say why."""

import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from pcedge.bundles.finetune_record import FinetuneEpoch, FinetuneRecord
from pcedge.bundles.manifest import EmbeddingKind
from pcedge.core.preprocessing import Preprocessing
from pcedge.core.progress import Progress, silent
from pcedge.networks.backbones import Backbone, state_digest, used_state

from .choosing import EpochChoice
from .images import TuningSplit, load_split
from .options import FinetuneOptions
from .stages import trained_stages
from .tuning import Tuning

OnEpoch = Callable[[FinetuneEpoch, dict[str, Tensor]], None]


@dataclass(frozen=True, eq=False)
class Finetuned:
    """What a fine-tuning made.

    Attributes:
        backbone: With the weights that were kept.
        record: For the manifest.
    """

    backbone: Backbone
    record: FinetuneRecord


def finetune(
    backbone: Backbone,
    paths: Sequence[Path],
    preprocessing: Preprocessing,
    kind: EmbeddingKind,
    options: FinetuneOptions,
    *,
    seed: int = 0,
    device: str = "auto",
    progress: Progress = silent,
    on_epoch: OnEpoch | None = None,
) -> Finetuned:
    """Tune the late stages of a backbone on nominal images; the backbone given stays as it is.

    Every epoch is judged by how well a bank tells synthetic faults on held-out images from none. The weights
    of the best one are kept if it is better than the beginning by more than chance, and the features are
    still like the first ones; otherwise those of the beginning are.

    Args:
        backbone: A pretrained one.
        paths: Nominal images; those that cannot be used are passed over.
        preprocessing: How images become the network's input.
        kind: Of the embedding that the bank will hold.
        options: How to tune.
        seed: Of everything random.
        device: ``auto``, ``cpu``, ``cuda``.
        progress: Called with the stage ``finetune``.
        on_epoch: Called after each epoch with its measurement and the network's tensors as they are then.

    Raises:
        DatasetError: There are too few images.
        OptionError: A stage has no weights to tune.
        RuntimeUnavailableError: The device does not exist here.
        WeightsError: The loss is no number any more.
    """
    began = time.monotonic()
    stages = trained_stages(backbone, options.stages)
    split = load_split(paths, preprocessing, seed)
    # A copied torch.fx graph is in training mode, in which its batch norms would take in what passes.
    tuned = replace(backbone, module=deepcopy(backbone.module).eval())
    tuning = Tuning(
        tuned,
        split,
        preprocessing,
        kind,
        options,
        stages=stages,
        seed=seed,
        device=device,
        progress=progress,
    )
    choice = EpochChoice(options.method, tuning.chance, tuning.answers, options.patience)
    kept = tuning.state()
    for measured in tuning.epochs():
        go_on = choice.see(measured)
        if on_epoch is not None:
            on_epoch(measured, {name: value.clone() for name, value in used_state(tuned.module).items()})
        if choice.kept == measured.epoch:
            kept = tuning.state()
        if not go_on:
            break
    tuning.finish(kept)
    record = _record(backbone, options, split, tuning, choice, stages=stages, seed=seed, began=began)
    tuned.module.cpu()
    if choice.kept:
        name = f"{backbone.weights}, fine-tuned by {options.method}"
        tuned = replace(tuned, weights=name, weights_sha256=state_digest(used_state(tuned.module)))
    return Finetuned(tuned, record)


def _record(
    backbone: Backbone,
    options: FinetuneOptions,
    split: TuningSplit,
    tuning: Tuning,
    choice: EpochChoice,
    *,
    stages: tuple[str, ...],
    seed: int,
    began: float,
) -> FinetuneRecord:
    return FinetuneRecord(
        method=options.method,
        weights=backbone.weights,
        weights_sha256=backbone.weights_sha256,
        stages=stages,
        learning_rate=options.learning_rate,
        pull=options.pull,
        epochs=options.epochs,
        seed=seed,
        images=len(split.train),
        held_out=len(split.held_out),
        chance=tuning.chance,
        kept=choice.kept,
        reason=choice.reason,
        notes=choice.notes,
        history=tuple(choice.history),
        features=tuning.changes(),
        seconds=time.monotonic() - began,
    )
