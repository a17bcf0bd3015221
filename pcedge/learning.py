"""From training images to a bank and held-out scores: at once where memory allows, in stages where not."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import (
    Bank,
    Coreset,
    CoresetSize,
    RowSources,
    StagedSelection,
    greedy_coreset,
    greedy_coreset_torch,
    project,
)
from pcedge.calibration import HeldOut, Scored, held_out, patches_kept, score_images
from pcedge.errors import DatasetError
from pcedge.features import Features, unusable
from pcedge.memory import MemoryPlan
from pcedge.preprocessing import Preprocessing
from pcedge.progress import Progress
from pcedge.stopwatch import Stopwatch
from pcedge.threshold import check_rate

# Held out of a staged fit: enough for false-reject rates down to 0.5 %, few beside thousands of images.
_HELD_OUT_IMAGES = 200
_HELD_OUT_SHARE = 0.1


class Embed(Protocol):
    """Reads and embeds images."""

    def __call__(self, paths: Sequence[Path], progress: Progress) -> Features:
        """Embed the images that can be read, in order."""


@dataclass(frozen=True)
class Task:
    """What is to be learned, and how.

    Attributes:
        paths: Training images.
        names: Their names in the dataset.
        at_least: How many of them must be usable.
        false_reject_rate: What was asked for, if anything was: the images must support it.
        shape: Patches an image and values a patch.
        grid_hw: The grid of patches.
        preprocessing: Gives the map's size.
        size: Of the bank.
        seed: Of everything random.
        device: Where the network runs; a selection on CUDA runs there too.
        neighbours: Bank rows that re-weight the image score; 1 for none.
    """

    paths: tuple[Path, ...]
    names: dict[Path, str]
    at_least: int
    false_reject_rate: float | None
    shape: tuple[int, int]
    grid_hw: tuple[int, int]
    preprocessing: Preprocessing
    size: CoresetSize
    seed: int
    device: str
    neighbours: int = 1


@dataclass(frozen=True, eq=False)
class Learned:
    """What was learned.

    Attributes:
        bank: The memory bank.
        paths: The images that were learned from.
        skipped: Path to reason of those that could not be used.
        cached: How many images' features came from the cache.
        held_out: Scores of good images that the bank they were scored against had not seen.
        held_out_paths: Those images.
        radius: Distance, in the projection, within which every patch has a bank row.
        guarantee: What that radius is, in words.
        method: How the held-out scores were obtained, in words.
    """

    bank: Bank
    paths: tuple[Path, ...]
    skipped: dict[Path, str]
    cached: int
    held_out: HeldOut
    held_out_paths: tuple[Path, ...]
    radius: float
    guarantee: str
    method: str

    @property
    def images(self) -> int:
        """How many images were learned from."""
        return len(self.paths)


def learn_exactly(task: Task, embed: Embed, watch: Stopwatch, progress: Progress) -> Learned:
    """Hold all embeddings in memory; the coreset is the exact greedy one of all patches.

    Every image is scored against a bank chosen without its fold.

    Raises:
        DatasetError: Too few images can be used.
        OptionError: Too few for the false-reject rate.
    """
    with watch.stage("embed"):
        features = embed(task.paths, progress)
        check_enough(len(features.paths), len(task.paths), task.at_least, features.skipped)
        if task.false_reject_rate is not None:
            check_usable_rate(task.false_reject_rate, len(features.paths), features.skipped)
    with watch.stage("coreset"):
        images, patches, dims = features.embeddings.shape
        rows = features.embeddings.reshape(-1, dims)
        projected = project(rows, task.seed)
        coreset = _select(task, projected, progress)
        names = tuple(task.names[path] for path in features.paths)
        sources = RowSources.of_patches(names, coreset.picks, task.grid_hw)
        bank = Bank.build(rows[coreset.picks], sources)
    with watch.stage("calibrate"):
        results = held_out(
            features.embeddings,
            projected.reshape(images, patches, -1),
            task.size,
            task.preprocessing,
            task.grid_hw,
            seed=task.seed,
            neighbours=task.neighbours,
            progress=progress,
        )
    return Learned(
        bank,
        features.paths,
        features.skipped,
        features.cached,
        results,
        features.paths,
        coreset.radius,
        "exact: the greedy coreset of all patches",
        f"cross-conformal: {results.folds} folds over the training images",
    )


def learn_in_stages(
    task: Task, plan: MemoryPlan, embed: Embed, watch: Stopwatch, directory: Path, progress: Progress
) -> Learned:
    """Reduce the embeddings chunk by chunk; the stated radius bounds how far any patch is from the bank.

    Some images are held out for the threshold: the bank never sees them.

    Args:
        task: What is to be learned.
        plan: With the size of a chunk.
        embed: Reads and embeds images.
        watch: Takes the time.
        directory: For the candidates' file, which is removed again.
        progress: Told of the stages.

    Raises:
        DatasetError: Too few images can be used.
        OptionError: Too few are held out for the false-reject rate.
    """
    assert plan.chunk_images is not None
    held, used = _split(task)
    if task.false_reject_rate is not None:
        _check_held_out(held, task.false_reject_rate)
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
                del features  # before the next chunk needs the room
            check_enough(len(learned), len(task.paths), task.at_least, skipped)
        with watch.stage("coreset"):
            chosen = stages.finish(count, lambda done, total: progress("coreset", done, total))
    names = tuple(task.names[path] for path in learned)
    sources = RowSources.of_patches(names, chosen.numbers, task.grid_hw)
    bank, radius = Bank.build(chosen.rows, sources), chosen.radius
    del chosen
    with watch.stage("calibrate"):
        results, scored = _score_held_out(task, plan, held, bank, embed, skipped, progress)
    return Learned(
        bank,
        tuple(learned),
        skipped,
        cached,
        results,
        scored,
        radius,
        "staged: every patch lies within the radius of a bank row; the exact coreset's is smaller",
        f"split conformal: {len(scored)} good images that the bank never saw",
    )


def _score_held_out(
    task: Task,
    plan: MemoryPlan,
    held: Sequence[Path],
    bank: Bank,
    embed: Embed,
    skipped: dict[Path, str],
    progress: Progress,
) -> tuple[HeldOut, tuple[Path, ...]]:
    parts: list[Scored] = []
    scored: list[Path] = []
    keep = patches_kept(len(held), *task.shape)
    step = min(plan.chunk_images or len(held), 64)
    for start in range(0, len(held), step):
        features = embed(held[start : start + step], lambda *_: None)
        size = task.preprocessing.input_size
        parts.append(score_images(features.embeddings, bank, task.grid_hw, size, task.neighbours, keep=keep))
        scored += features.paths
        skipped |= features.skipped
        progress("calibrate", min(start + step, len(held)), len(held))
    if not scored:
        raise DatasetError(
            "None of the images held out for the threshold can be used.", "Replace those that were skipped."
        )
    return HeldOut(Scored.joined(parts), 1), tuple(scored)


def _split(task: Task) -> tuple[list[Path], list[Path]]:
    """Images held out, and images to learn from, each in the dataset's order."""
    images = len(task.paths)
    count = min(_HELD_OUT_IMAGES, max(1, round(images * _HELD_OUT_SHARE)))
    chosen = set(np.random.default_rng(task.seed).choice(images, count, replace=False).tolist())
    held = [path for number, path in enumerate(task.paths) if number in chosen]
    return held, [path for number, path in enumerate(task.paths) if number not in chosen]


def _select(task: Task, projected: NDArray[np.float32], progress: Progress) -> Coreset:
    count = task.size.rows(len(projected))

    def report(done: int, total: int) -> None:
        progress("coreset", done, total)

    if task.device.startswith("cuda"):
        return greedy_coreset_torch(projected, count, task.device, report)
    return greedy_coreset(projected, count, progress=report)


def check_enough(usable: int, total: int, at_least: int, skipped: dict[Path, str]) -> None:
    """Check that enough of the training images can be used.

    Raises:
        DatasetError: They are too few.
    """
    if usable < at_least:
        raise DatasetError(
            f"Only {usable} of {total} images can be used; at least {at_least} are "
            f"needed. First problem: {next(iter(skipped.values()))}",
            "Replace the images that cannot be used.",
        )


def check_usable_rate(rate: float, usable: int, skipped: dict[Path, str]) -> None:
    """Check that the images that can be used support a false-reject rate.

    Raises:
        OptionError: They do not.
    """
    check_rate(rate, usable, called="good images" + _without(skipped))


def _check_held_out(held: Sequence[Path], rate: float) -> None:
    """Check before the long work what is scored after it: whether these images support the rate."""
    skipped = unusable(held)
    check_rate(
        rate,
        len(held) - len(skipped),
        called="good images held out by a fit in stages" + _without(skipped),
        remedy="Give the fit more --memory-gb, so that every good image counts",
    )


def _without(skipped: dict[Path, str]) -> str:
    if not skipped:
        return ""
    first = next(iter(skipped.values())).rstrip(".")
    return f" (without {len(skipped)} that cannot be used; first problem: {first})"


def _shifted(progress: Progress, start: int, total: int) -> Progress:
    """Progress of a part, told as progress of the whole."""
    return lambda stage, done, _: progress(stage, start + done, total)
