"""Methods compared: named in a file, run through one evaluation, kept, and laid side by side."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from pcedge.banks import CoresetSize
from pcedge.bundles.manifest import PATCHCORE
from pcedge.camera import write_dataset
from pcedge.core.preprocessing import Preprocessing
from pcedge.errors import OptionError
from pcedge.evaluation.runs import ImageRow, RecordedMetric, Run, read_run, write_run
from pcedge.fitting.options import FitOptions
from pcedge.studies.comparison import (
    COMPARISON_CSV,
    COMPARISON_JSON,
    CompareOptions,
    choose_methods,
    compare_methods,
    comparison_markdown,
    read_methods,
)
from pcedge.studies.report import comparison_points, load_study, write_report

FIT = FitOptions(
    backbone="pcedge-s",
    preprocessing=Preprocessing(image_size=64),
    coreset=CoresetSize(count=20),
    memory_gb=2.0,
    cache_gb=0,
)
OWN = """
[near]
about = "PatchCore, as the command says"

[far]
coreset = "5"
neighbours = 2

[gauss]
method = "padim"
settings = {dims = 20}

["near+nothing"]
backbone = "no-such-network"
"""


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CompareOptions]:
    """A comparison on a rendered category; not to be changed."""
    root = tmp_path_factory.mktemp("compare")
    write_dataset(root / "bolt", train=8, test_good=3, per_defect=1, size=96)
    (root / "methods.toml").write_text(OWN)
    known = read_methods(root / "methods.toml")
    options = CompareOptions(FIT, choose_methods(known, known), command="pcedge compare bolt")
    compare_methods({"bolt": root / "bolt"}, options, root / "runs")
    return root, options


def test_every_method_is_measured_and_what_cannot_be_run_is_said(
    compared: tuple[Path, CompareOptions],
) -> None:
    root, _ = compared
    found = json.loads((root / "runs" / COMPARISON_JSON).read_text())

    assert [entry["method"] for entry in found["entries"]] == ["near", "far", "gauss"]
    for entry in found["entries"]:
        assert 0 <= entry["metrics"]["image_auroc"]["value"] <= 1
        assert entry["fit_s"] > 0
        assert entry["frame_ms"] > 0
        assert entry["bytes"] > 0
    [missing] = found["not_run"]
    assert (missing["dataset"], missing["method"]) == ("bolt", "near+nothing")
    assert "no-such-network" in missing["reason"]
    with (root / "runs" / COMPARISON_CSV).open(encoding="utf-8") as file:
        assert [row["method"] for row in csv.DictReader(file)] == ["near", "far", "gauss"]
    runs = {name: read_run(root / "runs" / f"bolt-{name}").settings for name in ("near", "far", "gauss")}
    assert (runs["near"].method, runs["near"].bank_rows) == (PATCHCORE, 20)
    assert (runs["far"].bank_rows, runs["far"].neighbours) == (5, 2)
    assert (runs["gauss"].method, runs["gauss"].options["dims"], runs["gauss"].coreset) == ("padim", "20", "")


def test_what_is_finished_is_not_done_again_until_its_settings_change(
    compared: tuple[Path, CompareOptions], tmp_path: Path
) -> None:
    root, options = compared
    shutil.copytree(root / "runs", tmp_path / "runs")
    near, gauss = options.methods[0], options.methods[2]
    other = replace(gauss, own=msgspec.structs.replace(gauss.own, settings={"dims": 10}))

    _, outcomes = compare_methods(
        {"bolt": root / "bolt"}, replace(options, methods=[near, other]), tmp_path / "runs"
    )

    assert [outcome.resumed for outcome in outcomes] == [True, False]


def test_tables_and_points_are_of_the_same_runs(
    compared: tuple[Path, CompareOptions], tmp_path: Path
) -> None:
    root, options = compared
    folder = tmp_path / "runs"
    shutil.copytree(root / "runs", folder)
    found, outcomes = compare_methods({"bolt": root / "bolt"}, options, folder)
    runs = [outcome.run for outcome in outcomes if outcome.run]
    directories = [folder / run.name for run in runs]
    points = comparison_points(directories)

    page = comparison_markdown(found, runs, points, "plot.png")
    written = write_report([folder], tmp_path / "report.html")

    assert page.count("\n| ") == 5
    assert "- near+nothing on bolt: " in page
    assert points[0].startswith("bolt: ")
    assert f"- {points[0]}" in page
    assert "<title>Methods compared on bolt</title>" in (tmp_path / "report.html").read_text(encoding="utf-8")
    [(missing, reason)] = written.to_dict()["failed"].items()
    assert (missing, "no-such-network" in reason) == ("bolt, near+nothing", True)
    tables = {table["caption"]: table for table in written.to_dict()["tables"]}
    [title] = [caption for caption in tables if caption.startswith("Methods on")]
    assert [row[0] for row in tables[title]["rows"]] == ["far", "gauss", "near"]
    assert next(subject.label for subject in load_study(directories).subjects) == "bolt, near"


def _scored(run: Run, method: str, label: str, scores: list[float]) -> Run:
    """The run of a method that gave good images 0 and defective ones these scores."""
    images = [
        ImageRow(name=f"good/{n}", kind="good", defect=False, score=0.0, verdict="OK") for n in range(30)
    ]
    images += [
        ImageRow(name=f"bad/{n}", kind="bad", defect=True, score=score, verdict="NG")
        for n, score in enumerate(scores)
    ]
    auroc = sum(1.0 if score > 0 else 0.5 if score == 0 else 0.0 for score in scores) / len(scores)
    return msgspec.structs.replace(
        run,
        name=f"bolt-{label}",
        settings=msgspec.structs.replace(run.settings, method=method, label=label),
        images=tuple(images),
        metrics={"image_auroc": RecordedMetric(value=auroc)},
        pictures=(),
    )


@pytest.mark.parametrize(
    ("scores", "best", "order"),
    [
        (([1.0] * 30, [-1.0] * 30), "patchcore has the highest", "in 1 by more than chance"),
        (([-1.0] * 30, [1.0] * 30), "padim has the highest", "padim is above patchcore by +100.00"),
        (([1.0] * 30, [1.0] * 30), "cannot be told from padim", "in 0 by more than chance"),
        (([1.0] * 29 + [-1.0], [1.0] * 30), "cannot be told from patchcore", "no more than chance may bring"),
    ],
)
def test_what_follows_is_decided_by_the_images_that_both_judged(
    compared: tuple[Path, CompareOptions],
    tmp_path: Path,
    scores: tuple[list[float], list[float]],
    best: str,
    order: str,
) -> None:
    root, _ = compared
    run = read_run(root / "runs" / "bolt-near")
    directories = []
    for method, values in zip((PATCHCORE, "padim"), scores, strict=True):
        one = _scored(run, method, method, values)
        directories.append(tmp_path / one.name)
        with write_run(directories[-1]) as staging:
            (staging / "run.json").write_bytes(msgspec.json.encode(one))
            (staging / "curves.json").write_text("{}")

    text = " ".join(comparison_points(directories))

    assert best in text
    assert order in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[x]\nnonsense = 1", "nonsense"),
        ("[x", "does not say"),
        ('["a/b"]\n', "cannot be named 'a/b'"),
        ('[x]\nembedding = "other"', "other"),
    ],
)
def test_a_file_of_methods_that_makes_no_sense_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "methods.toml").write_text(text)

    with pytest.raises(OptionError) as caught:
        read_methods(tmp_path / "methods.toml")

    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("told", "words"),
    [('coreset = "7x"', "'7x'"), ("neighbours = 0", "0 neighbours"), ("image_size = 1", "1")],
)
def test_a_method_that_makes_no_sense_is_said_before_any_work(tmp_path: Path, told: str, words: str) -> None:
    (tmp_path / "methods.toml").write_text(f"{OWN}\n[odd]\n{told}")
    known = read_methods(tmp_path / "methods.toml")
    options = CompareOptions(FIT, choose_methods(known, known))

    with pytest.raises(OptionError, match="The method odd cannot be run") as caught:
        compare_methods({"bolt": tmp_path / "bolt"}, options, tmp_path / "runs")

    assert words in caught.value.what
    assert not (tmp_path / "runs").exists()


def test_no_network_s_training_ends_with_a_clock() -> None:
    trained = [told for told in read_methods().values() if told.method in ("ae", "gan")]

    assert len(trained) == 3
    assert all(told.settings["minutes"] == 0 for told in trained)


@pytest.mark.parametrize(
    ("interval", "said"), [((0.3, 0.48), True), ((0.45, 0.6), True), ((0.52, 0.7), False), (None, False)]
)
def test_a_method_that_guesses_is_named(
    compared: tuple[Path, CompareOptions], tmp_path: Path, interval: tuple[float, float] | None, said: bool
) -> None:
    root, _ = compared
    shutil.copytree(root / "runs", tmp_path / "runs")
    directory = tmp_path / "runs" / "bolt-gauss"
    run = read_run(directory)
    metrics = {**run.metrics, "image_auroc": RecordedMetric(value=0.5, interval=interval)}
    changed = msgspec.structs.replace(run, metrics=metrics)
    (directory / "run.json").write_bytes(msgspec.json.encode(changed))

    points = comparison_points([tmp_path / "runs" / f"bolt-{name}" for name in ("near", "gauss")])

    assert any("no better than chance" in point and "gauss" in point for point in points) == said


def test_methods_are_chosen_by_name() -> None:
    known = read_methods()

    assert {"patchcore", "padim", "patchcore+clip", "patchcore+cutmix"} <= set(known)
    assert [one.name for one in choose_methods(["padim", "patchcore", "padim"], known)] == [
        "padim",
        "patchcore",
    ]
    with pytest.raises(OptionError, match="'nothing'") as caught:
        choose_methods(["nothing"], known)
    assert "patchcore" in caught.value.hint
    with pytest.raises(OptionError, match="No method"):
        choose_methods([], known)


def test_a_method_of_another_network_leaves_the_preset_s_layers_and_weights() -> None:
    base = replace(FIT, backbone="resnet18", layers=("layer2",), embedding="reference")
    weights = {"resnet18": Path("a.pth"), "clip-rn50": Path("b.pth")}
    known = read_methods()

    [own, clip, padim] = [
        one.options(base, weights) for one in choose_methods(["patchcore", "patchcore+clip", "padim"], known)
    ]

    assert (own.weights, own.layers, own.embedding) == (Path("a.pth"), ("layer2",), "reference")
    assert (clip.backbone, clip.weights, clip.layers, clip.embedding) == (
        "clip-rn50",
        Path("b.pth"),
        (),
        None,
    )
    assert (padim.backbone, padim.weights, padim.layers) == ("resnet18", Path("a.pth"), ())
