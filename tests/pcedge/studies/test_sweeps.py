"""The sweep: its points are what fit and evaluate give, none is measured twice, the front is the front."""

from dataclasses import replace
from pathlib import Path

import pytest

from pcedge.banks import CoresetSize
from pcedge.camera import read_image, write_dataset
from pcedge.core.preprocessing import Preprocessing
from pcedge.datasets import Dataset, open_dataset
from pcedge.errors import OptionError, ResultError
from pcedge.evaluation.evaluate import evaluate
from pcedge.fitting.fit import fit
from pcedge.fitting.options import FitOptions
from pcedge.inspection.runtimes import open_inspector
from pcedge.studies.sweeps import SWEEP_JSON, Point, SweepOptions, pareto, plot_points, read_sweep, sweep

OPTIONS = SweepOptions(
    backbones=("pcedge-s",),
    image_sizes=(64,),
    coresets=(CoresetSize(fraction=0.25), CoresetSize(count=30)),
    neighbours=(1, 3),
)


@pytest.fixture(scope="module")
def bolt(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A rendered category; not to be changed."""
    folder = tmp_path_factory.mktemp("lines") / "bolt"
    write_dataset(folder, train=8, test_good=3, per_defect=1, size=96)
    return open_dataset(folder)


@pytest.mark.parametrize("neighbours", [1, 3])
def test_a_point_is_what_fit_and_evaluate_give(bolt: Dataset, tmp_path: Path, neighbours: int) -> None:
    found = sweep(bolt, OPTIONS, tmp_path / "sweep")
    for coreset in OPTIONS.coresets:
        fitted = fit(
            bolt.root,
            FitOptions(
                backbone="pcedge-s",
                preprocessing=Preprocessing(image_size=64),
                coreset=coreset,
                neighbours=neighbours,
                models=tmp_path / "models",
            ),
        )
        with open_inspector(fitted.bundle, runtime="torch") as inspector:
            expected = evaluate(bolt, inspector)
        [point] = [p for p in found.points if (p.coreset, p.neighbours) == (str(coreset), neighbours)]

        assert point.bank_rows == fitted.bundle.manifest.bank.rows
        assert point.image_auroc == expected.image_auroc
        assert point.pixel_auroc == pytest.approx(expected.pixel_auroc, abs=1e-6)
        assert point.aupro == pytest.approx(expected.aupro, abs=1e-6)


def test_points_that_are_there_are_not_measured_again(bolt: Dataset, tmp_path: Path) -> None:
    first = sweep(bolt, OPTIONS, tmp_path)
    heard: list[str] = []

    again = sweep(bolt, OPTIONS, tmp_path, lambda stage, *_: heard.append(stage))
    more = sweep(bolt, replace(OPTIONS, neighbours=(5,)), tmp_path)
    other = sweep(bolt, replace(OPTIONS, seed=1), tmp_path)

    assert again == first
    assert set(heard) == {"data", "sweep"}
    assert [point.neighbours for point in more.points] == [1, 3, 1, 3, 5, 5]
    assert more.points[:4] == first.points
    assert len(other.points) == 4
    assert read_sweep(tmp_path) == other


def test_a_network_that_cannot_be_used_costs_its_own_points(bolt: Dataset, tmp_path: Path) -> None:
    options = replace(OPTIONS, backbones=("nonsense", "pcedge-s"), neighbours=(1,))

    found = sweep(bolt, options, tmp_path)

    assert found.failed.keys() == {"nonsense at 64"}
    assert "nonsense" in found.failed["nonsense at 64"]
    assert len(found.points) == 2


def test_a_sweep_without_sense_is_refused_at_once(bolt: Dataset, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="0 neighbours"):
        sweep(bolt, replace(OPTIONS, neighbours=(0,)), tmp_path)
    (tmp_path / SWEEP_JSON).write_text("{")
    with pytest.raises(ResultError, match=SWEEP_JSON):
        sweep(bolt, OPTIONS, tmp_path)


def _point(auroc: float | None, ms: float, size: int) -> Point:
    return Point(
        backbone="a",
        image_size=64,
        coreset="0.1",
        neighbours=1,
        bank_rows=1,
        bank_bytes=size,
        image_auroc=auroc,
        pixel_auroc=None,
        aupro=None,
        frame_ms=ms,
    )


def test_the_front_has_every_point_that_no_other_beats_and_no_other() -> None:
    fast, exact, small = _point(0.8, 1.0, 50), _point(0.99, 9.0, 50), _point(0.8, 2.0, 10)
    beaten, unmeasured = _point(0.79, 1.0, 50), _point(None, 1.5, 60)
    twin = _point(0.99, 9.0, 50)

    assert pareto([beaten, exact, unmeasured, small, fast]) == [fast, small, exact]
    assert pareto([exact, twin]) == [exact, twin]
    assert pareto([]) == []


def test_the_plot_is_a_picture_also_of_few_points(tmp_path: Path) -> None:
    plot_points(
        [_point(0.8, 1.0, 50), _point(None, 2.0, 50), _point(0.9, 3.0, 9_000_000)], tmp_path / "a.png", "A"
    )
    plot_points([], tmp_path / "none.png", "Nothing")

    assert read_image(tmp_path / "a.png").std() > 5
    assert read_image(tmp_path / "none.png").shape == read_image(tmp_path / "a.png").shape
