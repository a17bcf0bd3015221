"""Forms that were written once go on working: a bundle before what a command is about, ``evaluate --all``."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pcedge.adaptation.teaching import read_log
from pcedge.bundles.bundle import find_bundle
from pcedge.camera import render_part, write_dataset, write_image
from pcedge.evaluation.runs import read_run

from ..conftest import Line, Run


def _without_times(printed: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(printed)
    return {name: value for name, value in found.items() if name not in ("frame_ms", "seconds")}


def test_a_bundle_before_the_dataset_is_the_one_evaluated(exported_line: Line, pcedge: Run) -> None:
    bundle, dataset = exported_line.models / "line", exported_line.dataset

    old = pcedge("evaluate", bundle, dataset, "--json")
    new = pcedge("evaluate", dataset, "-m", bundle, "--json")

    assert old.returncode == new.returncode == 0, old.stderr
    assert _without_times(old.stdout) == _without_times(new.stdout)


def test_a_bundle_before_the_image_is_the_one_that_judges(
    exported_line: Line, pcedge: Run, tmp_path: Path
) -> None:
    image = next(exported_line.dataset.glob("test/scratch/*.png"))
    place = ("--models", exported_line.models, "--json")

    old = pcedge("explain", "line", image, "-o", tmp_path / "a.png", *place)
    current = pcedge("explain", image, "-o", tmp_path / "b.png", *place)

    assert old.returncode == current.returncode == 0, old.stderr
    assert json.loads(old.stdout)["score"] == json.loads(current.stdout)["score"]
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_bundle_before_new_images_is_calibrated(line: Line, pcedge: Run, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    for seed in range(20):
        write_image(tmp_path / "new" / f"{seed}.png", render_part(6_000_000 + seed).image_rgb)
    shutil.copytree(line.models / "line", line.models / "other")
    options = ("--false-reject-rate", "0.1", "--dry-run", "--json", "--models", line.models)

    done = pcedge("calibrate", "other", tmp_path / "new", *options, torch=False)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bundle"] == str(line.models / "other")


def test_a_bundle_before_history_and_images_is_taught(line: Line, pcedge: Run) -> None:
    shutil.copytree(line.models / "line", line.models / "other")
    good = next(line.dataset.glob("test/good/*.png"))
    place = ("--models", line.models)

    stored = pcedge("teach", "other", "--good", good, *place)
    shown = pcedge("teach", "other", "--history", "--json", *place)

    assert stored.returncode == shown.returncode == 0, stored.stderr + shown.stderr
    assert len(read_log(find_bundle("other", line.models))) > 0
    assert len(read_log(find_bundle("line", line.models))) == 0


def test_a_bundle_is_planned_by_its_name(
    exported_line: Line, pcedge: Run, tmp_path: Path, assert_clear: Callable[..., None]
) -> None:
    options = ("--models", exported_line.models, "--images", exported_line.dataset, "--max-mb", "0.01")

    done = pcedge("plan", "line", *options, cwd=tmp_path)

    assert_clear(done, "Nothing fits the budget", code=4)


def test_a_bundle_and_a_folder_of_one_name_are_both_named(
    line: Line, pcedge: Run, tmp_path: Path, assert_clear: Callable[..., None]
) -> None:
    place = ("--models", line.models)
    twice = ("line", "x", "--model", "other", *place)

    assert_clear(
        pcedge("evaluate", *twice, cwd=tmp_path), "line x names a bundle and the dataset", "--model other x"
    )
    assert_clear(
        pcedge("explain", *twice, cwd=tmp_path), "line x names a bundle and the image", "--model other x"
    )
    assert_clear(
        pcedge("plan", "x", "--model", "line", *place, cwd=tmp_path), "pcedge plan x, or", "--images x"
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    assert_clear(pcedge("evaluate", "line", *place, cwd=empty), "line is a bundle, and no dataset is named")
    assert_clear(pcedge("calibrate", *twice, cwd=empty), "line is a bundle, and --model other names one too")
    # ``line`` is a folder here, too: before other images it is the bundle, and that is said.
    done = pcedge("calibrate", "line", "nowhere", *place, cwd=tmp_path)
    assert_clear(done, "line is taken as the bundle", "./line", "no image and no folder")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small categories."""
    root = tmp_path_factory.mktemp("two")
    for number in range(2):
        write_dataset(root / f"part{number}", train=4, test_good=2, per_defect=1, size=64, seed=number)
    return root


def test_evaluate_all_is_suite_and_gives_the_same(two: Path, pcedge: Run, tmp_path: Path) -> None:
    tiny = ("--preset", "edge", "--image-size", "64", "--coreset", "20", "--memory-gb", "2", "--json")

    old = pcedge("evaluate", two, "--all", *tiny, "--output", tmp_path / "old")
    new = pcedge("suite", two, *tiny, "--output", tmp_path / "new")

    assert old.returncode == new.returncode == 0, old.stderr
    assert "pcedge evaluate --all is pcedge suite now" in old.stderr
    assert "suite now" not in new.stderr
    for name in ("part0", "part1"):
        first, second = read_run(tmp_path / "old" / name), read_run(tmp_path / "new" / name)
        assert {key: one.value for key, one in first.metrics.items()} == {
            key: one.value for key, one in second.metrics.items()
        }
        assert [(one.name, one.score) for one in first.images] == [
            (one.name, one.score) for one in second.images
        ]
    printed = [json.loads(one.stdout) for one in (old, new)]
    assert [sorted(one) for one in printed] == [sorted(printed[0])] * 2
    assert [one["name"] for one in printed[0]["categories"]] == [
        one["name"] for one in printed[1]["categories"]
    ]
