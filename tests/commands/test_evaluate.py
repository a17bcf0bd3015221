"""``pcedge evaluate``: the same numbers everywhere; ``pcedge suite``: one bad image does not stop it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pcedge import evaluate, find_bundle, open_dataset, open_inspector
from pcedge.camera import write_dataset
from pcedge.cli import app
from pcedge.evaluation.runs import read_run
from pcedge.studies.suite import measure

from ..conftest import Line, Run

METRICS = ("image_auroc", "pixel_auroc", "aupro", "false_reject_rate", "miss_rate")
TINY = ("--preset", "edge", "--image-size", "64", "--coreset", "20", "--memory-gb", "2")


def test_library_command_and_exported_bundle_without_torch_give_the_same_numbers(
    exported_line: Line, pcedge: Run, tmp_path: Path
) -> None:
    bundle, dataset = exported_line.models / "line", exported_line.dataset
    found: dict[str, dict[str, Any]] = {}
    for runtime in ("torch", "onnx"):
        with open_inspector(find_bundle(str(bundle)), runtime=runtime) as inspector:
            found[f"library, {runtime}"] = evaluate(open_dataset(dataset), inspector).to_dict()
    for name, torch, options in (
        ("command", True, ("--runtime", "onnx")),
        ("without torch", False, ()),
    ):
        done = pcedge("evaluate", dataset, "--model", bundle, *options, "--json", torch=torch)
        assert done.returncode == 0, done.stderr
        found[name] = json.loads(done.stdout)
    run = tmp_path / "run"
    done = pcedge(
        *("evaluate", dataset, "--model", bundle, "--runtimes", "onnx,torch", "--output", run, "--json"),
        torch=False,
    )
    # PyTorch was asked for and is not there: listed with the reason, and not all was done.
    assert done.returncode == 3, done.stderr
    stored = read_run(run)
    assert [bool(result.skipped) for result in stored.runtimes] == [False, True]
    assert "torch" in stored.runtimes[1].skipped
    found["run"] = {metric: stored.value(metric) for metric in METRICS}
    found["run"]["scores"] = {image.name: image.score for image in stored.images}

    expected = found["library, onnx"]
    for name, result in found.items():
        for metric in METRICS:
            assert result[metric] == pytest.approx(expected[metric], abs=1e-5), (name, metric)
        assert result["scores"] == pytest.approx(expected["scores"], rel=1e-4), name
    assert found["command"]["scores"] == found["without torch"]["scores"] == expected["scores"]


def test_runtimes_are_compared_side_by_side(exported_line: Line) -> None:
    bundle = find_bundle(str(exported_line.models / "line"))

    found = measure(bundle, open_dataset(exported_line.dataset), ("torch", "onnx", "tensorrt"))

    first, second, third = found.runtimes
    assert (first.largest_difference, first.flips) == (None, 0)
    assert second.description == "onnxruntime (CPU)"
    assert second.largest_difference is not None
    assert second.largest_difference < 1e-4
    assert second.flips == 0
    assert "TensorRT" in third.skipped
    assert third.metrics == {}


@pytest.fixture(scope="module")
def categories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen small categories."""
    root = tmp_path_factory.mktemp("fifteen")
    for number in range(15):
        write_dataset(root / f"part{number:02d}", train=4, test_good=2, per_defect=1, size=64, seed=number)
    return root


def test_an_image_corrupted_in_the_middle_of_fifteen_categories_costs_that_image(
    categories: Path, pcedge: Run, tmp_path: Path
) -> None:
    broken = categories / "part07" / "test" / "dent" / "000.png"
    broken.write_bytes(broken.read_bytes()[:200])

    done = pcedge("suite", categories, *TINY, "--output", tmp_path, "--json")

    assert done.returncode == 3, done.stderr
    found = json.loads(done.stdout)
    assert len(found["categories"]) == 15
    assert [category["error"] for category in found["categories"]] == [None] * 15
    skipped = {category["name"]: category["skipped"] for category in found["categories"]}
    assert skipped.pop("part07").keys() == {"test/dent/000.png"}
    assert set(map(len, skipped.values())) == {0}
    assert len(read_run(tmp_path / "part07").images) == 7
    assert all(len(read_run(tmp_path / name).images) == 8 for name in skipped)

    again = pcedge("suite", categories, *TINY, "--output", tmp_path)

    assert again.returncode == 3
    assert "suite now" not in again.stderr
    assert "Finished already and not done again: 15 of 15." in again.stderr
    assert "test/dent/000.png" in again.stderr


def test_parity_that_does_not_hold_fails(
    categories: Path, pcedge: Run, tmp_path: Path, assert_clear: Callable[..., None]
) -> None:
    bottle = tmp_path / "mvtec" / "bottle"
    bottle.parent.mkdir()
    bottle.symlink_to(categories / "part00")
    options = ("--backbone", "pcedge-s", "--image-size", "64", "--crop", "0", "--coreset", "20")
    page = tmp_path / "page.md"

    done = pcedge(
        *("suite", bottle.parent, *options, "--parity", "official"),
        *("--output", tmp_path / "runs", "--markdown", page),
    )

    assert_clear(done, "No parity: bottle, image_auroc", "100.00 was published")
    assert "beside the official 224 p0.1" in done.stdout
    text = page.read_text()
    assert "| bottle | " in text
    assert "difference from the official" in text
    assert "pcedge suite " in text


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (("evaluate",), ("Missing argument 'DATASET'",), 2),
        (("evaluate", "a", "b", "c"), ("unexpected extra argument",), 2),
        (("suite", "nowhere"), ("nowhere is not a category and holds none",), 1),
        (("suite", ".", "--parity", "paper"), ("--parity official",), 1),
        (("suite", ".", "--preset", "edge", "--parity", "official"), ("no results for the preset edge",), 1),
        (("suite", ".", "--preset", "ensemble-320", "--backbone", "resnet18"), ("--backbone",), 1),
        (("suite", ".", "--beside", "gone.csv"), ("gone.csv cannot be read",), 1),
        (("suite", ".", "--runtimes", "abacus"), ("'abacus'",), 1),
        (("suite", ".", "--leaks", "hide"), ("'hide'", "exclude"), 1),
    ],
)
def test_what_makes_no_sense_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    words: tuple[str, ...],
    code: int,
) -> None:
    monkeypatch.chdir(tmp_path)

    done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})

    assert done.exit_code == code, done.output
    for word in words:
        assert word in done.stderr.replace("\n", " ")


def test_an_ensemble_is_not_fitted_as_a_bundle(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["fit", str(tmp_path), "--preset", "ensemble-320"])

    assert done.exit_code == 1
    assert "ensemble-320 cannot be a bundle" in done.stderr


def test_a_sweep_is_printed_drawn_and_stored(categories: Path, tmp_path: Path) -> None:
    options = ("--image-size", "64", "--coreset", "10%,20", "--neighbours", "1,3", "--json")

    done = CliRunner().invoke(app, ["sweep", str(categories / "part01"), *options, "--output", str(tmp_path)])

    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert {(point["coreset"], point["neighbours"]) for point in found["points"]} == {
        (coreset, neighbours) for coreset in ("0.1", "20 rows") for neighbours in (1, 3)
    }
    assert any(point["pareto"] for point in found["points"])
    assert {path.name for path in tmp_path.iterdir()} == {"sweep.json", "sweep.csv", "pareto.png"}
