"""The planner's parts: faults, what is separated, and the choice; then a whole plan on small images."""

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pcedge.banks import CoresetSize
from pcedge.camera import read_image, render_part
from pcedge.datasets import open_dataset
from pcedge.errors import DatasetError
from pcedge.studies.planning import (
    FAULTS,
    Budget,
    PlanOptions,
    PlanPoint,
    best,
    front,
    nearest,
    pasted,
    plan,
    plot_plan,
    separation_dataset,
)

POINT = PlanPoint(
    backbone="pcedge-s",
    image_size=224,
    precision="fp32",
    coreset="1%",
    bank_rows=1000,
    network_bytes=1_000_000,
    bank_bytes=1_000_000,
    frame_ms=10.0,
    separation=0.9,
)


def _point(ms: float, mb: float, separation: float | None) -> PlanPoint:
    from msgspec.structs import replace as changed

    return changed(POINT, frame_ms=ms, network_bytes=0, bank_bytes=int(mb * 1e6), separation=separation)


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_small_repeatable_and_of_all_strengths(kind: str) -> None:
    picture, other = render_part(0, size=128).image_rgb, render_part(1, size=96).image_rgb
    before = picture.copy()

    changes = [
        np.abs(pasted(kind, picture, other, seed).astype(int) - picture).max(axis=2) for seed in range(30)
    ]

    assert np.array_equal(picture, before)
    assert np.array_equal(pasted(kind, picture, other, 7), pasted(kind, picture, other, 7))
    assert all(0 < (change > 8).mean() < 0.25 for change in changes if change.max() > 8)
    strengths = [int(change.max()) for change in changes]
    assert min(strengths) < 40 < max(strengths)


def test_held_out_pictures_are_not_learned_from_and_each_has_every_fault(
    tmp_path: Path, good_images: Callable[..., Path]
) -> None:
    dataset = open_dataset(good_images(tmp_path / "parts", 12))

    found = separation_dataset(dataset, tmp_path / "work", seed=0)

    good = [sample.path.resolve() for sample in found.test if not sample.is_defect]
    train = [path.resolve() for path in found.train]
    assert len(good) == 3
    assert set(good) | set(train) == {path.resolve() for path in dataset.train}
    assert not set(good) & set(train)
    assert sorted(sample.kind for sample in found.test if sample.is_defect) == sorted([*FAULTS] * 3)
    names = {found.relative(sample.path) for sample in found.test}
    assert len(names) == len(found.test)
    shapes = {read_image(sample.path).shape for sample in found.test}
    assert len(shapes) == 1


def test_too_few_good_pictures_are_refused(tmp_path: Path, good_images: Callable[..., Path]) -> None:
    dataset = open_dataset(good_images(tmp_path / "parts", 5))

    with pytest.raises(DatasetError, match="at least 8"):
        separation_dataset(dataset, tmp_path / "work", seed=0)


@pytest.mark.parametrize(
    ("budget", "chosen"),
    [
        (Budget(), (40, 30, 0.99)),
        (Budget(max_ms=25), (20, 20, 0.95)),
        (Budget(max_ms=25, max_mb=10), (10, 5, 0.9)),
        (Budget(max_mb=20), (20, 20, 0.95)),
        (Budget(max_ms=5), None),
        (Budget(max_mb=4.9), None),
    ],
)
def test_the_best_that_fits_is_chosen(budget: Budget, chosen: tuple[float, float, float] | None) -> None:
    points = [
        _point(10, 5, 0.9),
        _point(20, 20, 0.95),
        _point(21, 20, 0.95),  # as good, but slower
        _point(40, 30, 0.99),
        _point(15, 19, 0.85),  # beaten
        _point(1, 90, None),  # the network alone is too large
    ]

    found = best(points, budget)

    assert (found and (found.frame_ms, found.megabytes, found.separation)) == chosen
    assert [point.frame_ms for point in front(points)] == [10, 20, 40]


def test_what_comes_nearest_exceeds_the_tighter_limit_by_the_smallest_factor() -> None:
    points = [_point(30, 5, 0.9), _point(12, 25, 0.95), _point(14, 14, None)]

    assert nearest(points, Budget(max_ms=10, max_mb=10)) is points[2]
    assert nearest(points, Budget(max_mb=1)) is points[0]
    assert nearest([], Budget(max_ms=1)) is None


def test_a_plan_measures_every_choice_and_says_how_to_make_the_best(
    tmp_path: Path, good_images: Callable[..., Path]
) -> None:
    pytest.importorskip("matplotlib")
    dataset = open_dataset(good_images(tmp_path / "two parts", 10))
    options = PlanOptions(
        budget=Budget(max_ms=1e4),
        image_sizes=(64, 96),
        coresets=(CoresetSize(fraction=0.05), CoresetSize(count=60)),
        precisions=("fp32",),
        device="cpu",
        cache_gb=0,
    )

    found = plan(dataset, options)

    assert len(found.points) == 4
    assert (found.good, found.defective) == (2, 6)
    assert found.failed == {}
    assert found.chosen in front(found.points)
    assert {point.bank_rows for point in found.points if point.coreset == "60 rows"} == {60}
    assert {point.bank_bytes / point.bank_rows for point in found.points} == {4 * 128}
    [fit, export] = found.commands
    assert found.chosen is not None
    assert shlex.split(fit) == [
        *("pcedge", "fit", str(dataset.root), "--backbone", "pcedge-s"),
        *("--image-size", str(found.chosen.image_size), "--coreset", found.chosen.coreset),
    ]
    assert CoresetSize.parse(found.chosen.coreset) in options.coresets
    assert export == "pcedge export"
    plot_plan(found, options.budget, tmp_path / "plan.png")
    assert read_image(tmp_path / "plan.png").shape[0] > 300

    tight = plan(dataset, replace(options, budget=Budget(max_mb=0.001), image_sizes=(64,)))
    assert tight.chosen is None
    assert tight.nearest is not None
    assert tight.nearest.separation is None
    assert tight.commands == ()
