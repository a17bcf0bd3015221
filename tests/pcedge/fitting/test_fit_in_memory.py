"""What learning makes of images that cannot be used: found before the long work, and said."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pcedge.banks import CoresetSize
from pcedge.camera import write_image
from pcedge.core.preprocessing import Preprocessing
from pcedge.core.progress import Progress
from pcedge.core.stage_timer import StageTimer
from pcedge.errors import DatasetError, OptionError
from pcedge.export import Runtime
from pcedge.fitting.feature_cache import FeatureCache
from pcedge.fitting.features import Features, embed_images
from pcedge.fitting.fit_in_memory import FittedBank, Task, learn_exactly
from pcedge.fitting.fit_in_stages import learn_in_stages
from pcedge.fitting.memory import MemoryPlan
from pcedge.thresholds.conformal import Rates
from pcedge.thresholds.folds import CalibrationKind

SMALL = Preprocessing(image_size=32)
SHAPE, GRID = (16, 6), (4, 4)  # of the blocks of ``make_runtime``
SEED = 0
# The places among 40 images of those that a fit in stages with this seed holds out.
HELD_OUT = sorted(np.random.default_rng(SEED).choice(40, 4, replace=False).tolist())


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Forty images of different content."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "good"
    folder.mkdir()
    found = [folder / f"{number:02}.png" for number in range(40)]
    for path in found:
        write_image(path, rng.integers(0, 255, (40, 50, 3), np.uint8))
    return found


def _learn(
    images: Sequence[Path],
    runtime: Runtime,
    *,
    rate: float | None = None,
    chunk_images: int | None = None,
    stages: list[str] | None = None,
    calibration: CalibrationKind = "folds",
    groups: dict[Path, str] | None = None,
    dependent: bool = False,
) -> FittedBank:
    """Learn from images, in chunks if their size is given; names of stages begun go to ``stages``."""

    looks = FeatureCache(Path(), 0, "", (1, 255)) if dependent else None

    def embed(paths: Sequence[Path], progress: Progress) -> Features:
        return embed_images(paths, runtime, SMALL, SHAPE, progress=progress, looks=looks)

    def note(stage: str, done: int, total: int) -> None:
        if stages is not None and stage not in stages:
            stages.append(stage)

    task = Task(
        paths=tuple(images),
        names={path: path.name for path in images},
        at_least=4,
        rates=Rates(rate),
        shape=SHAPE,
        grid_hw=GRID,
        preprocessing=SMALL,
        size=CoresetSize(count=30),
        seed=SEED,
        device="cpu",
        calibration=calibration,
        groups=groups or {},
        dependent=dependent,
    )
    if chunk_images is None:
        return learn_exactly(task, embed, StageTimer(), note)
    plan = MemoryPlan(10**9, chunk_images)
    return learn_in_stages(task, plan, embed, StageTimer(), images[0].parent, note)


@pytest.mark.parametrize(
    ("chunk_images", "calibration"),
    [(None, "folds"), (None, "split"), (None, "leave-one-out"), (16, "folds")],
)
def test_copies_are_held_out_together_and_count_as_one(
    paths: list[Path], make_runtime: Any, chunk_images: int | None, calibration: CalibrationKind
) -> None:
    for path in paths[:20]:
        shutil.copy(path, path.with_name(f"copy_{path.name}"))
    images = sorted(paths[0].parent.iterdir())

    learned = _learn(
        images, make_runtime(), chunk_images=chunk_images, calibration=calibration, dependent=True
    )

    assert set(learned.dependent) == {(f"{n:02}.png", f"copy_{n:02}.png") for n in range(20)}
    held = [learned.groups[path] for path in learned.held_out_paths]
    in_bank = {learned.groups[path] for path in learned.paths}
    assert len(set(learned.groups.values())) == 40
    if calibration == "folds" and chunk_images is None:
        assert (len(held), len(set(held))) == (60, 40)
        assert "40 groups" in learned.method
    elif calibration != "leave-one-out":
        assert not in_bank & set(held)


def _spoil(paths: Sequence[Path]) -> None:
    for path in paths:
        path.write_bytes(b"hello")


@pytest.mark.parametrize("chunk_images", [None, 16])
def test_too_few_usable_images_are_an_error_before_the_coreset(
    paths: list[Path], make_runtime: Any, chunk_images: int | None
) -> None:
    kept = [number for number in range(40) if number not in HELD_OUT][:3]
    _spoil([path for number, path in enumerate(paths) if number not in kept])
    stages: list[str] = []

    with pytest.raises(DatasetError, match=r"Only 3 of 40 images can be used; at least 4 .*\d\d\.png"):
        _learn(paths, make_runtime(), chunk_images=chunk_images, stages=stages)

    assert stages == ["embed"]


@pytest.mark.parametrize("chunk_images", [None, 16])
def test_images_that_cannot_be_used_are_left_out_with_their_reason(
    paths: list[Path], make_runtime: Any, chunk_images: int | None
) -> None:
    _spoil([paths[1]])
    write_image(paths[2], np.zeros((40, 50, 3), np.uint8))

    learned = _learn(paths, make_runtime(), chunk_images=chunk_images)

    assert learned.skipped.keys() == {paths[1], paths[2]}
    assert "black" in learned.skipped[paths[2]]
    assert set(learned.held_out_paths).isdisjoint(learned.skipped)
    assert learned.images + (0 if chunk_images is None else len(learned.held_out_paths)) == 38


def test_a_rate_that_skipped_images_made_impossible_is_an_error_before_the_coreset(
    paths: list[Path], make_runtime: Any
) -> None:
    assert _learn(paths, make_runtime(), rate=0.025).images == 40  # 39 images would do
    _spoil(paths[:2])
    stages: list[str] = []

    with pytest.raises(OptionError, match=r"38 good images \(without 2 .*00\.png.*\) cannot") as caught:
        _learn(paths, make_runtime(), rate=0.025, stages=stages)

    assert "at least 39" in caught.value.what
    assert "--false-reject-rate 0.026" in caught.value.hint
    assert stages == ["embed"]


def test_a_rate_that_the_images_held_out_cannot_support_is_an_error_before_anything_is_embedded(
    paths: list[Path], make_runtime: Any
) -> None:
    assert len(_learn(paths, make_runtime(), rate=0.2, chunk_images=16).held_out_paths) == 4
    stages: list[str] = []

    with pytest.raises(OptionError, match="4 good images held out by a fit in stages cannot") as caught:
        _learn(paths, make_runtime(), rate=0.1, chunk_images=16, stages=stages)
    assert "--memory-gb" in caught.value.hint

    _spoil([paths[HELD_OUT[1]]])
    with pytest.raises(OptionError, match=rf"3 good images .*without 1 .*{HELD_OUT[1]:02}\.png"):
        _learn(paths, make_runtime(), rate=0.2, chunk_images=16, stages=stages)
    assert stages == []


def test_without_a_rate_asked_for_fewer_images_held_out_are_no_error(
    paths: list[Path], make_runtime: Any
) -> None:
    _spoil([paths[HELD_OUT[0]]])

    assert len(_learn(paths, make_runtime(), chunk_images=16).held_out_paths) == 3


@pytest.mark.parametrize("chunk_images", [None, 16])
def test_a_split_keeps_a_third_of_the_images_from_the_bank(
    paths: list[Path], make_runtime: Any, chunk_images: int | None
) -> None:
    learned = _learn(paths, make_runtime(), chunk_images=chunk_images, calibration="split")

    held = set(learned.held_out_paths)
    assert len(held) == 13
    assert held.isdisjoint(learned.paths)
    assert held | set(learned.paths) == set(paths)
    assert set(learned.bank.sources.images) == {path.name for path in learned.paths}
    assert learned.held_out.folds == 1
    assert (learned.held_out.scores > 0).all()
    assert learned.method == "split conformal: 13 good images that the bank never saw"


def test_leaving_one_out_scores_all_images_by_the_bank_that_runs(
    paths: list[Path], make_runtime: Any
) -> None:
    learned = _learn(paths, make_runtime(), calibration="leave-one-out")
    folds = _learn(paths, make_runtime())

    np.testing.assert_array_equal(learned.bank.rows, folds.bank.rows)
    assert learned.held_out_paths == learned.paths == tuple(paths)
    assert learned.held_out.folds == 0
    assert (learned.held_out.scores > 0).all()
    assert learned.method == "leave one out over the training images"


@pytest.mark.parametrize("chunk_images", [None, 16])
def test_a_split_holds_out_as_many_as_the_rate_takes(
    paths: list[Path], make_runtime: Any, chunk_images: int | None
) -> None:
    learned = _learn(paths, make_runtime(), rate=0.05, chunk_images=chunk_images, calibration="split")

    assert len(learned.held_out_paths) == 19
    with pytest.raises(OptionError, match=r"takes at least 24"):
        _learn(paths, make_runtime(), rate=0.04, chunk_images=chunk_images, calibration="split")


@pytest.mark.parametrize(
    ("calibration", "chunk_images", "method"),
    [
        ("folds", None, "cross-conformal: 5 folds over 8 groups of training images"),
        ("split", None, "split conformal: 15 good images in 3 groups that the bank never saw"),
        ("folds", 16, "split conformal: 5 good images in 1 group that the bank never saw"),
    ],
)
def test_groups_are_held_out_whole(
    paths: list[Path], make_runtime: Any, calibration: CalibrationKind, chunk_images: int | None, method: str
) -> None:
    groups = {path: f"batch {number // 5}" for number, path in enumerate(paths)}

    learned = _learn(paths, make_runtime(), chunk_images=chunk_images, calibration=calibration, groups=groups)

    assert learned.method == method
    if learned.held_out.folds == 1:
        assert {groups[path] for path in learned.held_out_paths}.isdisjoint(map(groups.get, learned.paths))


def test_groups_count_once_where_a_rate_is_asked_for(paths: list[Path], make_runtime: Any) -> None:
    groups = {path: f"batch {number // 5}" for number, path in enumerate(paths)}

    with pytest.raises(OptionError, match=r"8 groups of good images cannot .* at least 9"):
        _learn(paths, make_runtime(), rate=0.1, groups=groups)
