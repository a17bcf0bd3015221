"""Categories fitted and evaluated: one that fails costs itself, what is finished is not done again."""

import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchvision import models

from pcedge.banks import CoresetSize
from pcedge.camera import write_dataset
from pcedge.core.preprocessing import Preprocessing
from pcedge.datasets import Dataset, Sample
from pcedge.errors import DatasetError, OptionError
from pcedge.evaluation.evaluate import summarise
from pcedge.evaluation.inference import Judged
from pcedge.evaluation.runs import ThresholdFacts, read_curves, read_run
from pcedge.fitting.options import FitOptions
from pcedge.fitting.presets import Member
from pcedge.studies.suite import (
    TrialOptions,
    combine,
    find_categories,
    parse_runtimes,
    published_for,
    request_digest,
    run_campaign,
    summary_of,
    write_summary,
)
from pcedge.studies.suite.record import Findings, _rows

FIT = FitOptions(
    backbone="pcedge-s",
    preprocessing=Preprocessing(image_size=64),
    coreset=CoresetSize(count=20),
    memory_gb=2.0,
)
OPTIONS = TrialOptions(FIT, preset="edge")


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered category; not to be changed."""
    folder = tmp_path_factory.mktemp("lines") / "bolt"
    write_dataset(folder, train=8, test_good=3, per_defect=1, size=96)
    return folder


@pytest.fixture
def lines(line: Path, tmp_path: Path) -> Path:
    """Two categories in one folder, to be changed."""
    for name in ("bolt", "nut"):
        shutil.copytree(line, tmp_path / "lines" / name)
    return tmp_path / "lines"


def test_what_is_finished_is_not_done_again_until_data_or_settings_change(
    lines: Path, tmp_path: Path
) -> None:
    folders, output = find_categories([lines]), tmp_path / "runs"
    first = run_campaign(folders, OPTIONS, output)
    assert [(outcome.name, outcome.error, outcome.resumed) for outcome in first] == [
        ("bolt", "", False),
        ("nut", "", False),
    ]
    (lines / "nut" / "test" / "good" / "000.png").unlink()

    second = run_campaign(folders, OPTIONS, output)
    third = run_campaign(folders, replace(OPTIONS, fit=replace(FIT, seed=1)), output)

    assert [outcome.resumed for outcome in second] == [True, False]
    assert second[0].run == first[0].run
    assert [outcome.resumed for outcome in third] == [False, False]
    assert third[0].run is not None
    assert read_run(output / "bolt") == third[0].run
    assert {path.name for path in output.iterdir()} == {"bolt", "nut"}  # the bundles were not to be kept


def test_a_run_says_what_was_evaluated_and_how(line: Path, tmp_path: Path) -> None:
    [outcome] = run_campaign({"bolt": line}, replace(OPTIONS, keep_bundles=True), tmp_path)

    run = outcome.run
    assert run is not None
    assert outcome.is_whole
    assert (run.data.train, run.data.kinds["good"], run.data.masks) == (8, 3, 6)
    assert (run.settings.preset, run.settings.bank_rows, run.settings.neighbours) == ("edge", 20, 1)
    assert run.threshold is not None
    assert len(run.threshold.held_out) == 8
    assert {image.verdict for image in run.images} <= {"OK", "NG"}
    assert len(run.images) == 9
    assert set(run.seconds) >= {"embed", "coreset", "calibrate", "evaluate"}
    assert (tmp_path / "bundles" / "bolt" / "manifest.json").is_file()
    for picture in run.pictures:
        assert (tmp_path / "bolt" / picture.picture).is_file()
        assert (tmp_path / "bolt" / picture.heatmap).is_file()
        assert bool(picture.mask) == (picture.kind != "good")
    shown = [picture.name for picture in run.pictures if picture.group == "miss"]
    missed = sorted((i for i in run.images if i.defect and i.verdict == "OK"), key=lambda image: image.score)
    assert shown == [image.name for image in missed]


def test_the_curves_enclose_the_areas_that_the_metrics_state(line: Path, tmp_path: Path) -> None:
    [outcome] = run_campaign({"bolt": line}, OPTIONS, tmp_path)

    curves, run = read_curves(tmp_path / "bolt"), outcome.run
    assert run is not None
    assert curves.image_roc is not None
    assert curves.pixel_roc is not None
    assert curves.pro is not None
    assert np.trapezoid(curves.image_roc.y, curves.image_roc.x) == pytest.approx(run.value("image_auroc"))
    assert np.trapezoid(curves.pixel_roc.y, curves.pixel_roc.x) == pytest.approx(
        run.value("pixel_auroc"), abs=2e-3
    )
    assert np.trapezoid(curves.pro.y, curves.pro.x) / 0.3 == pytest.approx(run.value("aupro"), abs=5e-3)
    for curve in (curves.image_roc, curves.pixel_roc, curves.pro):
        assert len(curve.x) == len(curve.y) <= 512
        assert (np.diff(curve.x) >= 0).all()
        assert (np.diff(curve.y) >= 0).all()


def test_a_category_that_fails_costs_itself_alone(lines: Path, tmp_path: Path) -> None:
    shutil.rmtree(lines / "bolt" / "train")
    (lines / "bolt" / "train" / "good").mkdir(parents=True)

    outcomes = run_campaign(find_categories([lines]), OPTIONS, tmp_path / "runs")

    assert outcomes[0].run is None
    assert "bolt" in outcomes[0].error
    assert outcomes[1].run is not None
    summary = summary_of(outcomes, "edge", published_for("official-224"))
    write_summary(tmp_path / "runs", summary)
    assert summary["categories"][0]["error"] == outcomes[0].error
    stored = msgspec.json.decode((tmp_path / "runs" / "summary.json").read_bytes())
    assert stored == msgspec.json.decode(msgspec.json.encode(summary))
    assert (tmp_path / "runs" / "summary.csv").read_text().startswith("category,image_auroc,")


def test_several_at_once_give_what_one_after_another_gives(lines: Path, tmp_path: Path) -> None:
    shutil.rmtree(lines / "nut" / "test" / "dent")
    [alone] = run_campaign({"nut": lines / "nut"}, OPTIONS, tmp_path / "alone")
    heard: list[tuple[str, int, int]] = []

    together = run_campaign(
        find_categories([lines]),
        OPTIONS,
        tmp_path / "together",
        jobs=2,
        progress=lambda *step: heard.append(step),
    )

    assert [outcome.error for outcome in together] == ["", ""]
    assert alone.run is not None
    assert together[1].run is not None
    # Processes at once share the cores, and with other numbers of threads networks give other last bits.
    stated = {name: metric.value for name, metric in alone.run.metrics.items()}
    found = {name: metric.value for name, metric in together[1].run.metrics.items()}
    assert found == {name: pytest.approx(value, abs=1e-4) for name, value in stated.items()}
    assert [(row.name, row.verdict) for row in alone.run.images] == [
        (row.name, row.verdict) for row in together[1].run.images
    ]
    assert heard[0] == ("categories", 0, 2)
    assert heard[-1] == ("categories", 2, 2)
    assert {stage for stage, _, _ in heard} == {"categories", "bolt", "nut"}


def test_test_images_that_were_learned_from_are_named_and_can_be_left_out(
    lines: Path, tmp_path: Path
) -> None:
    shutil.copy(lines / "nut" / "train" / "good" / "000.png", lines / "nut" / "test" / "good" / "leak.png")
    folders = {"nut": lines / "nut"}

    [named] = run_campaign(folders, OPTIONS, tmp_path / "named")
    [without] = run_campaign(folders, replace(OPTIONS, leaks="exclude"), tmp_path / "without")

    assert named.run is not None
    assert without.run is not None
    assert any("leak.png is the same file as train/good/000.png" in line for line in named.run.data.problems)
    assert named.run.skipped == {}
    assert without.run.skipped.keys() == {"test/good/leak.png"}
    assert len(named.run.images) == len(without.run.images) + 1


def test_categories_are_found_by_themselves_and_in_folders(lines: Path, tmp_path: Path) -> None:
    assert list(find_categories([lines])) == ["bolt", "nut"]
    assert find_categories([lines / "nut"]) == {"nut": lines / "nut"}
    with pytest.raises(DatasetError, match="Two categories are named 'nut'"):
        find_categories([lines, lines / "nut"])
    with pytest.raises(DatasetError, match="is not a category and holds none"):
        find_categories([tmp_path / "nothing"])


def test_what_decides_a_result_is_part_of_the_request(tmp_path: Path) -> None:
    (tmp_path / "one.pth").write_bytes(b"1")
    (tmp_path / "two.pth").write_bytes(b"2")
    requests = [
        request_digest(options, data)
        for options, data in [
            (OPTIONS, "a"),
            (OPTIONS, "b"),
            (replace(OPTIONS, runtimes=("torch", "onnx")), "a"),
            (replace(OPTIONS, leaks="exclude"), "a"),
            (replace(OPTIONS, fit=replace(FIT, neighbours=3)), "a"),
            (replace(OPTIONS, fit=replace(FIT, coreset=CoresetSize(fraction=0.1))), "a"),
            (replace(OPTIONS, fit=replace(FIT, weights=tmp_path / "one.pth")), "a"),
            (replace(OPTIONS, fit=replace(FIT, weights=tmp_path / "two.pth")), "a"),
        ]
    ]

    assert len(set(requests)) == len(requests)
    assert request_digest(replace(OPTIONS, command="typed otherwise", keep_bundles=True), "a") == requests[0]


@pytest.mark.parametrize("text", ["", "auto", "torch,abacus"])
def test_runtimes_that_cannot_be_compared_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="runtime"):
        parse_runtimes(text)


def test_runtimes_are_named_as_people_name_them() -> None:
    assert parse_runtimes("pytorch, onnxruntime,onnx,trt") == ("torch", "onnx", "tensorrt")


def _judged(name: str, score: float, score_map: NDArray[np.float32]) -> Judged:
    return Judged(Sample(Path(name), "good"), name, score, 0.5, score_map, None, "")


def test_a_run_writes_invalid_for_a_score_that_is_no_number() -> None:
    images = [_judged(str(n), score, np.ones((2, 2), np.float32)) for n, score in enumerate([1, 3, np.nan])]
    limit = ThresholdFacts(score=2.0, map=2.0, false_reject_rate=0.1, method="", held_out=())
    dataset = Dataset(Path(), (), tuple(image.sample for image in images))
    evaluation = summarise(dataset, images, {}, (), threshold=2.0, runtime="")

    rows = _rows(Findings((), images, evaluation, limit, (2.0, 2.0), (), {}))

    assert [row.verdict for row in rows] == ["OK", "NG", "INVALID"]
    assert evaluation.invalid == ("2",)
    assert evaluation.false_reject_rate == 1 / 3


def test_an_ensemble_s_scores_are_normalised_over_the_test_set_and_averaged() -> None:
    rng = np.random.default_rng(0)
    scores, maps = rng.gamma(2, 3, (2, 5)), rng.gamma(2, 3, (2, 5, 4, 4)).astype(np.float32)
    scores[1] *= 1000
    members = [[_judged(str(n), scores[m, n], maps[m, n]) for n in range(5)] for m in range(2)]

    combined = combine([members[0], members[1][:4]])

    # As the official implementation does it: minimum and maximum over all images, then the mean.
    kept, kept_maps = scores[:, :4], maps[:, :4].astype(np.float64)
    low, high = kept.min(axis=1, keepdims=True), kept.max(axis=1, keepdims=True)
    expected = ((kept - low) / (high - low)).mean(axis=0)
    low_map, high_map = (f(kept_maps, axis=(1, 2, 3), keepdims=True) for f in (np.min, np.max))
    assert [image.name for image in combined] == ["0", "1", "2", "3"]
    np.testing.assert_allclose([image.score for image in combined], expected)
    np.testing.assert_allclose(
        [image.score_map for image in combined],
        ((kept_maps - low_map) / (high_map - low_map)).mean(axis=0),
        rtol=1e-6,
    )
    assert combined[0].seconds == 1.0


def test_a_member_whose_scores_are_all_the_same_adds_nothing() -> None:
    maps = np.ones((3, 2, 2), np.float32)
    flat = [_judged(str(n), 7.0, maps[n]) for n in range(3)]
    telling = [_judged(str(n), float(n), maps[n] * n) for n in range(3)]

    assert [image.score for image in combine([flat, telling])] == [0.0, 0.25, 0.5]


def test_an_ensemble_of_small_networks_is_evaluated_and_has_no_threshold(line: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(models.resnet18(weights=None).state_dict(), tmp_path / "resnet18.pth")
    members = (
        Member("resnet18", ("layer1", "layer2"), tmp_path / "resnet18.pth"),
        Member("pcedge-s", ()),
    )
    options = TrialOptions(replace(FIT, embedding="mean"), preset="ensemble-320", members=members)

    [outcome] = run_campaign({"bolt": line}, options, tmp_path / "runs")

    run = outcome.run
    assert outcome.error == ""
    assert run is not None
    assert run.settings.backbone == "resnet18+pcedge-s"
    assert run.threshold is None
    assert run.value("image_auroc") is not None
    assert run.value("pixel_auroc") is not None
    assert run.metrics["miss_rate"].value is None
    assert "only rank" in run.metrics["miss_rate"].reason
    assert {image.verdict for image in run.images} == {""}
    assert all(0 <= image.score <= 1 for image in run.images)
    assert read_run(tmp_path / "runs" / "bolt") == run
    assert not list((tmp_path / "runs").glob("*bundles*/*"))
