"""Fits a bank and held-out scores in stages, for embeddings that do not fit into memory."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import Bank, RowSources, StagedSelection
from pcedge.bundles.drift_reference import rows_used, usage_sample
from pcedge.core.progress import Progress
from pcedge.core.stage_timer import StageTimer
from pcedge.errors import DatasetError
from pcedge.thresholds.conformal import Rates
from pcedge.thresholds.cross_validation import HeldOut, ImageScores, patches_kept, score_images
from pcedge.thresholds.folds import choose_held, held_count

from .features import spectra_of, unusable
from .fit_in_memory import Embed, FittedBank, Task, check_enough, join_dependent, split_words, without_words
from .memory import MemoryPlan

# Number of held-out images: enough for false-reject rates down to 0.5 %, few among thousands.
_HELD_OUT, _HELD_OUT_SHARE = 200, 0.1


def learn_in_stages(
    task: Task, plan: MemoryPlan, embed: Embed, watch: StageTimer, directory: Path, progress: Progress
) -> FittedBank:
    """Fit chunk by chunk; the stated radius bounds the distance of any patch to the bank.

    Some images are held out of the bank for the threshold.

    Args:
        task: Input and settings of the fit.
        plan: The memory plan, with the chunk size.
        embed: Reads and embeds images.
        watch: Timer of the stages.
        directory: Directory for the temporary file of candidates.
        progress: Progress callback.

    Raises:
        DatasetError: Too few images can be used.
        OptionError: Too few images are held out for the requested rates.
    """
    assert plan.chunk_images is not None
    with watch.stage("calibrate"):
        task, copies = join_dependent(task, *spectra_of(task.paths)) if task.dependent else (task, ())
    held, used = _split(task)
    if task.rates != Rates():
        _check_held_out(task, held)
    total_patches = len(used) * task.shape[0]
    count = task.size.rows(total_patches)
    learned: list[Path] = []
    skipped: dict[Path, str] = {}
    cached = 0
    with tempfile.TemporaryFile(dir=directory) as file:
        stages = StagedSelection(file, task.shape[1], count / total_patches, task.seed)
        with watch.stage("embed"):
            for start in range(0, len(used), plan.chunk_images):
                chunk = used[start : start + plan.chunk_images]
                features = embed(chunk, _shifted(progress, start, len(task.paths)))
                skipped |= features.skipped
                cached += features.cached
                if features.paths:
                    stages.add(features.embeddings.reshape(-1, task.shape[1]), len(learned) * task.shape[0])
                    learned += features.paths
                del features  # free the memory before the next chunk
            check_enough(len(learned), len(task.paths), task.at_least, skipped)
        with watch.stage("coreset"):
            chosen = stages.finish(count, lambda done, total: progress("coreset", done, total))
    names = tuple(task.names[path] for path in learned)
    sources = RowSources.of_patches(names, chosen.numbers, task.grid_hw)
    bank, radius = Bank.build(chosen.rows, sources), chosen.radius
    del chosen
    with watch.stage("calibrate"):
        results, scored, rows = _score_held_out(task, plan, held, bank, embed, skipped, progress)
    return FittedBank(
        bank,
        tuple(learned),
        skipped,
        cached,
        results,
        scored,
        radius,
        "staged: every patch lies within the radius of a bank row; the exact coreset's is smaller",
        split_words(task, scored),
        rows[usage_sample(len(rows))],
        task.groups,
        copies,
    )


def _score_held_out(
    task: Task,
    plan: MemoryPlan,
    held: Sequence[Path],
    bank: Bank,
    embed: Embed,
    skipped: dict[Path, str],
    progress: Progress,
) -> tuple[HeldOut, tuple[Path, ...], NDArray[np.int64]]:
    parts: list[ImageScores] = []
    rows: list[NDArray[np.int64]] = []
    scored: list[Path] = []
    keep = patches_kept(len(held), *task.shape)
    step = min(plan.chunk_images or len(held), 64)
    for start in range(0, len(held), step):
        features = embed(held[start : start + step], lambda *_: None)
        size = task.preprocessing.input_size
        parts.append(score_images(features.embeddings, bank, task.grid_hw, size, task.neighbours, keep=keep))
        rows.append(rows_used(features.embeddings, [task.names[path] for path in features.paths], bank))
        scored += features.paths
        skipped |= features.skipped
        progress("calibrate", min(start + step, len(held)), len(held))
    if not scored:
        raise DatasetError(
            "None of the images held out for the threshold can be used.", "Replace those that were skipped."
        )
    return HeldOut(ImageScores.joined(parts), 1), tuple(scored), np.concatenate(rows)


def _split(task: Task) -> tuple[list[Path], list[Path]]:
    """Held-out images and training images, each in the dataset's order."""
    groups = task.groups_of(task.paths)
    units = len(set(groups))
    if task.calibration == "split":
        count = held_count(units, task.rates)
    else:
        count = min(_HELD_OUT, max(1, round(units * _HELD_OUT_SHARE)))
    chosen = set(choose_held(groups, count, task.seed).tolist())
    held = [path for number, path in enumerate(task.paths) if number in chosen]
    return held, [path for number, path in enumerate(task.paths) if number not in chosen]


def _check_held_out(task: Task, held: Sequence[Path]) -> None:
    """Check, before the long work, that there are enough held-out images for the rates."""
    skipped = unusable(held)
    usable = set(task.groups_of([path for path in held if path not in skipped]))
    called = "groups of good images" if task.groups else "good images"
    task.rates.check(
        len(usable),
        called=f"{called} held out by a fit in stages{without_words(skipped)}",
        remedy="Give the fit more --memory-gb, so that every good image counts",
    )


def _shifted(progress: Progress, start: int, total: int) -> Progress:
    """A progress callback that reports the progress of a part as progress of the whole."""
    return lambda stage, done, _: progress(stage, start + done, total)
