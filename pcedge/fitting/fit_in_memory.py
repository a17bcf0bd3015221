"""Fits a bank and held-out scores with all embeddings in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import Bank, Coreset, CoresetSize, RowSources, greedy_coreset, greedy_coreset_torch, project
from pcedge.bundles.drift_reference import rows_used, usage_sample
from pcedge.core.preprocessing import Preprocessing
from pcedge.core.progress import Progress
from pcedge.core.stage_timer import StageTimer
from pcedge.errors import DatasetError
from pcedge.thresholds.conformal import Rates
from pcedge.thresholds.cross_validation import HeldOut, ImageScores, held_out, patches_kept, score_images
from pcedge.thresholds.dependence import dependent, with_dependent
from pcedge.thresholds.folds import CalibrationKind, check_support, choose_held, held_count
from pcedge.thresholds.leave_one_out import left_out

from .features import Features

_EXACT = "exact: the greedy coreset of all patches"


class Embed(Protocol):
    """Function that reads and embeds images."""

    def __call__(self, paths: Sequence[Path], progress: Progress) -> Features:
        """Embed the images that can be read, in order."""


@dataclass(frozen=True)
class Task:
    """Input and settings of a fit.

    Attributes:
        paths: Training images.
        names: Their names in the dataset.
        at_least: Minimum number of usable images.
        rates: Requested rates; there must be enough images for them.
        shape: Patches an image and values a patch.
        grid_hw: Grid of patches.
        preprocessing: Defines the size of the map.
        size: Number of rows in the bank.
        seed: Random seed.
        device: Device of the network; on CUDA the coreset selection runs there too.
        neighbours: Bank rows that re-weight the image score; 1 for none.
        calibration: How images are held out to find thresholds.
        groups: The group of each image; empty for ungrouped images.
        dependent: Whether images that show the same part are looked for, and joined to groups.
    """

    paths: tuple[Path, ...]
    names: dict[Path, str]
    at_least: int
    rates: Rates
    shape: tuple[int, int]
    grid_hw: tuple[int, int]
    preprocessing: Preprocessing
    size: CoresetSize
    seed: int
    device: str
    neighbours: int = 1
    calibration: CalibrationKind = "folds"
    groups: dict[Path, str] = field(default_factory=dict)
    dependent: bool = False

    def groups_of(self, paths: Sequence[Path]) -> tuple[str, ...]:
        """The group of each of these images; its own name for an ungrouped image."""
        return tuple(self.groups.get(path, self.names[path]) for path in paths)


@dataclass(frozen=True, eq=False)
class FittedBank:
    """The result: bank and held-out scores.

    Attributes:
        bank: The memory bank.
        paths: The images fitted on.
        skipped: Path to reason of the images that could not be used.
        cached: Number of images whose features came from the cache.
        held_out: Scores of good images against banks that had not seen them.
        held_out_paths: The images of these scores.
        radius: Distance, in the projection, within which every patch has a bank row.
        guarantee: Whether the radius is exact or a bound, as text.
        method: How the held-out scores were obtained, as a phrase.
        rows_used: int64 [images, patches], the nearest rows of a sample of good images; see
            :func:`pcedge.bundles.drift_reference.rows_used`.
        groups: The group of each image; empty for ungrouped images.
        dependent: Images that were found to show the same part, by groups.
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
    rows_used: NDArray[np.int64]
    groups: dict[Path, str]
    dependent: tuple[tuple[str, ...], ...] = ()

    @property
    def images(self) -> int:
        """Number of images fitted on."""
        return len(self.paths)


def learn_exactly(task: Task, embed: Embed, watch: StageTimer, progress: Progress) -> FittedBank:
    """Fit with all embeddings in memory and the exact greedy coreset of all patches.

    Every image is scored against a bank made without its fold. With ``calibration="split"``, some images are
    held out of the bank and scored against it.

    Raises:
        DatasetError: Too few images can be used.
        OptionError: Too few images for the requested rates.
    """
    with watch.stage("embed"):
        features = embed(task.paths, progress)
        check_enough(len(features.paths), len(task.paths), task.at_least, features.skipped)
    with watch.stage("coreset"):
        projected = project(features.embeddings.reshape(-1, task.shape[1]), task.seed)
    with watch.stage("calibrate"):
        patches = projected.reshape(len(features.paths), task.shape[0], -1)
        task, copies = join_dependent(task, features.paths, features.spectra, patches)
        groups = task.groups_of(features.paths)
        without, grouped = without_words(features.skipped), bool(task.groups)
        check_support(task.rates, len(set(groups)), task.calibration, grouped=grouped, without=without)
    if task.calibration == "split":
        return replace(_learn_split(task, features, groups, projected, watch, progress), dependent=copies)
    with watch.stage("coreset"):
        bank, radius = _learn_bank(task, features, np.arange(len(groups)), projected, progress)
    with watch.stage("calibrate"):
        results = _hold_out(task, features, groups, projected, bank, progress)
        used = _rows_used(task, features, bank, progress)
    over = f"{len(set(groups))} groups of training images" if grouped else "the training images"
    return FittedBank(
        bank,
        features.paths,
        features.skipped,
        features.cached,
        results,
        features.paths,
        radius,
        _EXACT,
        f"cross-conformal: {results.folds} folds over {over}"
        if results.folds
        else f"leave one out over {over}",
        used,
        task.groups,
        copies,
    )


def join_dependent(
    task: Task,
    paths: Sequence[Path],
    spectra: NDArray[np.float32],
    patches: NDArray[np.float32] | None = None,
) -> tuple[Task, tuple[tuple[str, ...], ...]]:
    """Join images that show the same part to groups, and say which they are.

    Args:
        task: The fit; its groups are kept together.
        paths: Its usable images.
        spectra: float32 [images, 255], what they look like.
        patches: float32 [images, patches, dims], their projected patches; None to do without.
    """
    found = dependent(spectra, patches) if task.dependent else ()
    if not found:
        return task, ()
    groups = with_dependent(task.groups_of(paths), found)
    named = tuple(tuple(task.names[paths[image]] for image in images) for images in found)
    return replace(task, groups=dict(zip(paths, groups, strict=True))), named


def _hold_out(
    task: Task,
    features: Features,
    groups: tuple[str, ...],
    projected: NDArray[np.float32],
    bank: Bank,
    progress: Progress,
) -> HeldOut:
    """Score every image without what was learned from it, or from its group."""
    if task.calibration == "leave-one-out":
        source, size = bank.sources.image, task.preprocessing.input_size
        return left_out(features.embeddings, bank, source, task.grid_hw, size, groups, progress=progress)
    return held_out(
        features.embeddings,
        projected.reshape(*features.embeddings.shape[:2], -1),
        task.size,
        task.preprocessing,
        task.grid_hw,
        seed=task.seed,
        neighbours=task.neighbours,
        groups=groups,
        bank=bank,
        progress=progress,
    )


def _learn_split(
    task: Task,
    features: Features,
    groups: tuple[str, ...],
    projected: NDArray[np.float32],
    watch: StageTimer,
    progress: Progress,
) -> FittedBank:
    """Select the bank without the held-out images, and score those against it."""
    held = choose_held(groups, held_count(len(set(groups)), task.rates), task.seed)
    used = np.setdiff1d(np.arange(len(groups)), held)
    patches, dims = task.shape
    with watch.stage("coreset"):
        projected = projected.reshape(len(groups), patches, -1)[used].reshape(len(used) * patches, -1)
        bank, radius = _learn_bank(task, features, used, projected, progress)
    with watch.stage("calibrate"):
        keep = patches_kept(len(held), patches, dims)
        parts = []
        for done, image in enumerate(held, 1):
            one, size = features.embeddings[image : image + 1], task.preprocessing.input_size
            parts.append(score_images(one, bank, task.grid_hw, size, task.neighbours, keep=keep))
            progress("calibrate", done, len(held))
        rows = _rows_used(task, features, bank, progress)
    paths = tuple(features.paths[image] for image in held)
    return FittedBank(
        bank,
        tuple(features.paths[image] for image in used),
        features.skipped,
        features.cached,
        HeldOut(ImageScores.joined(parts), 1),
        paths,
        radius,
        _EXACT,
        split_words(task, paths),
        rows,
        task.groups,
    )


def _learn_bank(
    task: Task,
    features: Features,
    used: NDArray[np.int64],
    projected: NDArray[np.float32],
    progress: Progress,
) -> tuple[Bank, float]:
    """The bank of a selection of images, from their projected patches, and its covering radius."""
    coreset = _select(task, projected, progress)
    names = tuple(task.names[features.paths[image]] for image in used)
    sources = RowSources.of_patches(names, coreset.picks, task.grid_hw)
    image, patch = np.divmod(coreset.picks, task.shape[0])
    return Bank.build(features.embeddings[used[image], patch], sources), coreset.radius


def _rows_used(task: Task, features: Features, bank: Bank, progress: Progress) -> NDArray[np.int64]:
    some = usage_sample(len(features.paths))
    names = [task.names[path] for path in features.paths[some]]
    return rows_used(features.embeddings[some], names, bank, progress)


def _select(task: Task, projected: NDArray[np.float32], progress: Progress) -> Coreset:
    count = task.size.rows(len(projected))

    def report(done: int, total: int) -> None:
        progress("coreset", done, total)

    if task.device.startswith("cuda"):
        return greedy_coreset_torch(projected, count, task.device, report)
    return greedy_coreset(projected, count, progress=report)


def check_enough(usable: int, total: int, at_least: int, skipped: dict[Path, str]) -> None:
    """Check that enough training images are usable.

    Raises:
        DatasetError: There are too few.
    """
    if usable < at_least:
        raise DatasetError(
            f"Only {usable} of {total} images can be used; at least {at_least} are "
            f"needed. First problem: {next(iter(skipped.values()))}",
            "Replace the images that cannot be used.",
        )


def split_words(task: Task, held: Sequence[Path]) -> str:
    """Text that describes the split behind the thresholds."""
    count = len(set(task.groups_of(held)))
    groups = f" in {count} group{'s' if count > 1 else ''}" if task.groups else ""
    return f"split conformal: {len(held)} good images{groups} that the bank never saw"


def without_words(skipped: dict[Path, str]) -> str:
    """Text in parentheses about skipped images; empty if none were."""
    if not skipped:
        return ""
    first = next(iter(skipped.values())).rstrip(".")
    return f" (without {len(skipped)} that cannot be used; first problem: {first})"
