"""Fine-tuning from end to end: tune, keep the best weights or those of the beginning, say why."""

import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from pcedge.backbones import Backbone, state_digest, used_state
from pcedge.finetune_options import FinetuneOptions
from pcedge.finetune_record import FinetuneEpoch, FinetuneRecord
from pcedge.manifest import EmbeddingKind
from pcedge.preprocessing import Preprocessing
from pcedge.progress import Progress, silent

from .pictures import load_split
from .stages import trained_stages
from .tuning import State, Tuning

# The start is kept unless the separation has grown by more than chance would have it.
CLEARLY = 2.0
# Features that are less like the first ones than this have lost what their pretraining gave them.
LEAST_CKA = 0.9
_SOLVED = 0.98

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
        preprocessing: How pictures become the network's input.
        kind: Of the embedding that the bank will hold.
        options: How to tune.
        seed: Of everything random.
        device: ``auto``, ``cpu``, ``cuda``.
        progress: Told of the stage ``finetune``.
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
    tuned = replace(backbone, module=deepcopy(backbone.module))
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
    kept, reason = _run(tuning, tuned, options, on_epoch)
    record = FinetuneRecord(
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
        kept=kept,
        reason=reason,
        notes=_notes(tuning, options),
        history=tuple(tuning.history),
        features=tuning.changes(),
        seconds=time.monotonic() - began,
    )
    tuned.module.cpu()
    if kept:
        name = f"{backbone.weights}, fine-tuned by {options.method}"
        tuned = replace(tuned, weights=name, weights_sha256=state_digest(used_state(tuned.module)))
    return Finetuned(tuned, record)


def _run(
    tuning: Tuning, tuned: Backbone, options: FinetuneOptions, on_epoch: OnEpoch | None
) -> tuple[int, str]:
    """Go through the epochs, leave the best weights in the network, return their epoch and why."""
    states: list[State] = [tuning.state()]
    best = highest = 0
    for measured in tuning.epochs():
        if on_epoch is not None:
            on_epoch(measured, {name: value.clone() for name, value in used_state(tuned.module).items()})
        if measured.epoch == 0:
            continue
        if measured.cka < LEAST_CKA:
            break
        if measured.separation > tuning.history[highest].separation:
            highest = measured.epoch
        if _clearly_better(measured) and measured.separation > tuning.history[best].separation:
            best, states = measured.epoch, [states[0], tuning.state()]
        if measured.epoch - highest >= options.patience:
            break
    tuning.finish()
    if best and _guessed(tuning, best):
        best, states = 0, states[:1]
    tuning.restore(states[-1])
    return best, _reason(tuning, best)


def _clearly_better(measured: FinetuneEpoch) -> bool:
    return measured.gain > CLEARLY * measured.gain_error


def _guessed(tuning: Tuning, epoch: int) -> bool:
    """Whether the task was solved no more often than by guessing: then nothing was learned from it."""
    chance = tuning.chance
    error: float = (chance * (1 - chance) / tuning.answers) ** 0.5
    return tuning.history[epoch].accuracy <= chance + CLEARLY * error


def _reason(tuning: Tuning, best: int) -> str:
    history = tuning.history
    if best:
        return (
            f"epoch {best} separates synthetic faults on held-out good images by {history[best].gain:+.4f} "
            f"AUROC (standard error {history[best].gain_error:.4f}) better than the weights it began with"
        )
    tried = history[1:]
    if not tried:
        return "the time was over before an epoch began; the weights it began with are kept"
    highest = max(tried, key=lambda measured: measured.gain)
    why = "not clearly better"
    if _clearly_better(highest):
        why = "not to be trusted: the features drifted away or the task was only guessed"
    return (
        f"the best epoch's separation of synthetic faults on held-out good images changes by "
        f"{highest.gain:+.4f} AUROC (standard error {highest.gain_error:.4f}), which is {why}; the weights "
        "it began with are kept"
    )


def _notes(tuning: Tuning, options: FinetuneOptions) -> tuple[str, ...]:
    first, last = tuning.history[0], tuning.history[-1]
    task = "the turns of held-out pictures" if options.method == "rotation" else "which places are the same"
    notes = []
    if first.accuracy >= _SOLVED:
        notes.append(
            f"The task is trivial for these pictures: the untouched features already tell {task} in "
            f"{first.accuracy:.0%} of cases, so there is little to learn from it."
        )
    elif _guessed(tuning, last.epoch):
        notes.append(
            f"The task cannot be learned from these pictures: {task} are told in {last.accuracy:.0%} of "
            f"cases, guessing would give {tuning.chance:.0%}. Parts that look the same however they are "
            "turned have no turn to recognise."
            if options.method == "rotation"
            else f"The task was not learned: {task} is told in {last.accuracy:.0%} of cases, guessing would "
            f"give {tuning.chance:.0%}."
        )
    if last.cka < LEAST_CKA:
        notes.append(
            f"The features drifted away (CKA {last.cka:.3f} with what they were, less than {LEAST_CKA}), and "
            "the tuning was stopped: try a lower learning rate."
        )
    return tuple(notes)
