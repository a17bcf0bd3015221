"""Baselines through the commands: the same way as PatchCore, from good images to verdicts on a device."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pcedge as product
from pcedge.banks import CoresetSize
from pcedge.bundles.bundle import Bundle, find_bundle
from pcedge.camera import Frame, Verdict, render_part, write_dataset
from pcedge.cli.doctor.finding import CheckState
from pcedge.cli.doctor.models import check_bundle
from pcedge.core.preprocessing import Preprocessing
from pcedge.errors import BundleError, ExportError, OptionError, PcedgeError
from pcedge.fitting.options import FitOptions
from pcedge.inspection.runtimes import Candidate
from pcedge.inspection.verification.golden import FOLDER
from pcedge.line.inspector_pool import Assignment, InspectorPool
from pcedge.methods import (
    METHODS,
    BaselineBundle,
    choose_baseline_runtime,
    export_baseline,
    find_method,
    fit_baseline,
    open_baseline_runtime,
)
from pcedge.methods.any_bundle import find_any_bundle, open_any_bundle, open_detector

# Those that are trained hold images out for the threshold, two of twelve.
TRAINED = ("ae", "gan")
SMALL = ("--backbone", "pcedge-s", "--image-size", "64")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("baselines") / "line"
    write_dataset(folder, train=12, test_good=3, per_defect=1, size=128)
    (folder / "train" / "good" / "broken.png").write_bytes(b"not a picture")
    return folder


@pytest.fixture(scope="module")
def models(dataset: Path) -> Path:
    """Every method's bundle, named after it and exported, PatchCore's among them."""
    folder = dataset.parent / "models"
    size = CoresetSize(count=50)
    options = FitOptions(
        backbone="pcedge-s", preprocessing=Preprocessing(64), models=folder, name="patchcore", coreset=size
    )
    product.export_bundle(product.fit(dataset, options).bundle)
    for method in METHODS:
        options = FitOptions(backbone="pcedge-s", preprocessing=Preprocessing(64), models=folder, name=method)
        settings = {"epochs": 3, "minutes": 0} if method in TRAINED else {}
        export_baseline(fit_baseline(dataset, method, options, settings).bundle)
    return folder


def test_a_day_with_a_baseline(pcedge: Any, dataset: Path, tmp_path: Path) -> None:
    place = ("--models", tmp_path / "models")

    small = ("--preset", "edge", "--image-size", "64")
    fitted = pcedge("fit", dataset, "--method", "padim", "--set", "dims=20", *small, *place, "--json")
    exported = pcedge("export", *place, "--json")
    listed = pcedge("models", *place, "--json", torch=False)
    measured = pcedge("evaluate", dataset, "--model", "line", *place, "--json", torch=False)
    watch = ("watch", "--folder", dataset / "test" / "good", "--once", "--output", tmp_path / "out")
    watched = pcedge(*watch, *place, torch=False)

    for done in (fitted, exported, listed, measured, watched):
        assert done.returncode == 0, done.stderr
    report, scores = json.loads(fitted.stdout), json.loads(measured.stdout)
    assert report["method"] == "padim"
    assert report["settings"] == {"dims": 20, "of": 256}
    assert report["images"] == 12
    assert list(report["skipped"]) == ["train/good/broken.png"]
    assert json.loads(exported.stdout)["difference"] < 1e-4
    (row,) = json.loads(listed.stdout)
    assert (row["method"], row["exported"], row["current"]) == ("padim", True, True)
    assert scores["threshold"] == report["threshold"]
    assert scores["runtime"].startswith("onnxruntime")
    assert scores["good"] == 3
    assert scores["defective"] > 0
    assert scores["pixel_auroc"] is not None
    assert "verified on the golden frames" in watched.stderr
    events = [json.loads(line) for line in (tmp_path / "out" / "events.jsonl").read_text().splitlines()]
    assert len(events) == 3
    by_name = {Path(name).name: score for name, score in scores["scores"].items() if "/good/" in name}
    assert {event["name"]: event["score"] for event in events} == pytest.approx(by_name)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--method", "padim", "--set", "dims"), ("'dims'", "NAME=VALUE")),
        (("--method", "padim", "--coreset", "0.1"), ("--coreset has no effect", "--method padim")),
        (("--set", "dims=3"), ("--set has no effect", "--method")),
    ],
)
def test_fit_says_what_is_wrong_with_an_option(
    pcedge: Any, dataset: Path, assert_clear: Any, tmp_path: Path, options: tuple[str, ...], words: Any
) -> None:
    done = pcedge("fit", dataset, *SMALL, *options, "--models", tmp_path / "models")

    assert_clear(done, *words)
    assert not (tmp_path / "models").exists()


def test_commands_that_are_patchcore_s_name_the_method(pcedge: Any, models: Path, assert_clear: Any) -> None:
    for command in (("index", "--model", "padim"), ("export", "--model", "padim", "--int8")):
        assert_clear(pcedge(*command, "--models", models), "padim", "PatchCore")


@pytest.mark.parametrize("method", METHODS)
def test_what_belongs_to_patchcore_is_refused_with_the_method_s_name(
    dataset: Path, models: Path, tmp_path: Path, method: str
) -> None:
    bundle = find_any_bundle(method, models)
    assert isinstance(bundle, BaselineBundle)
    same = find_bundle  # what every other command opens bundles with
    attempts: list[Callable[[], Any]] = [
        lambda: same(method, models),
        lambda: Bundle.open(models / method),
        lambda: bundle.in_precision("int8"),
        lambda: bundle.searched_by("IVF16,Flat"),
        lambda: open_baseline_runtime(bundle, "tensorrt"),
        lambda: fit_baseline(dataset, method, FitOptions(neighbours=3, models=tmp_path)),
        lambda: fit_baseline(dataset, method, FitOptions(embedding="mean", models=tmp_path)),
    ]
    for attempt in attempts:
        with pytest.raises(PcedgeError, match=method) as caught:
            attempt()
        assert caught.value.hint
    assert bundle.in_precision("fp32") is bundle
    assert bundle.searched_by("exact") is bundle
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("method", METHODS)
def test_a_bundle_has_thresholds_a_gate_and_no_pickle(models: Path, method: str) -> None:
    bundle = open_any_bundle(models / method)
    manifest = bundle.manifest

    assert manifest.method == method
    held_out = 2 if method in TRAINED else 12
    assert len(manifest.threshold.held_out) == held_out
    scores = sorted(manifest.threshold.held_out.values())
    assert manifest.threshold.score == pytest.approx(scores[-1], rel=1e-6)  # the smallest rate
    assert manifest.threshold.false_reject_rate == pytest.approx(1 / (held_out + 1))
    assert manifest.gate is not None
    assert {Path(name).suffix for name in manifest.files} <= {".npy", ".npz", ".onnx", ".png", ".safetensors"}
    assert find_method(method).title


@pytest.mark.parametrize("method", METHODS)
def test_a_runtime_that_scores_otherwise_is_not_taken(
    models: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = BaselineBundle.open(models / method)
    assert choose_baseline_runtime(bundle, device="cpu") == Candidate("onnx", "cpu")

    with open_detector(bundle) as detector:
        infer = type(detector.runtime).infer
    monkeypatch.setattr(type(detector.runtime), "infer", lambda self, images: infer(self, images) * 1.01)

    with pytest.raises(ExportError, match="golden frame"):
        choose_baseline_runtime(bundle, device="cpu")
    assert choose_baseline_runtime(bundle, device="cpu", verified=False).runtime == "onnx"


def test_a_line_of_several_methods_judges_each_camera_by_its_own(models: Path) -> None:
    bundles = {method: open_any_bundle(models / method) for method in (*METHODS, "patchcore")}
    assignments = {name: Assignment(bundle) for name, bundle in bundles.items()}
    assignments["strict"] = Assignment(bundles["padim"], threshold=0.0)
    part = render_part(77, size=128).image_rgb
    frames = [Frame("s", 0, "0", 1e9, part, camera=name) for name in assignments]

    with InspectorPool(assignments, lambda _: Candidate("onnx", "cpu")) as inspector:
        found = dict(zip(assignments, inspector.inspect(frames), strict=True))
        assert len(inspector.runtimes) == len(bundles)  # the two of one product share theirs

    for name, bundle in bundles.items():
        with open_detector(bundle, device="cpu") as alone:
            assert found[name].score == pytest.approx(alone.inspect(part).score, rel=1e-4)
        assert found[name].p_value is not None
    assert found["strict"].verdict is Verdict.NG


@pytest.mark.parametrize("method", METHODS)
def test_a_masked_defect_does_not_show_on_the_map(models: Path, method: str) -> None:
    import numpy as np

    picture = render_part(60, size=128).image_rgb.copy()
    picture[20:44, 20:44] = np.random.default_rng(0).integers(0, 256, (24, 24, 3))
    with open_detector(open_any_bundle(models / method)) as detector:
        stages = detector.stages(picture)
        rows, columns = detector.grid_hw
        ignored = np.zeros((rows, columns), bool)
        ignored[: rows // 2, : columns // 2] = True
        masked = detector.judge(stages, picture, ignored.reshape(-1))
        seen = detector.judge(stages, picture)

    assert masked.score_map_hw is not None
    assert seen.score_map_hw is not None
    assert masked.score_map_hw[4:20, 4:20].max() < 0.5 * seen.score_map_hw[4:20, 4:20].max()


@pytest.mark.parametrize("method", METHODS)
def test_doctor_checks_and_proves_a_baseline(models: Path, method: str) -> None:
    findings = {finding.subject: finding for finding in check_bundle(method, models)}

    assert [finding.state for finding in findings.values()] == [CheckState.OK, CheckState.OK]
    assert "proved just now: onnx on" in findings["Certificate"].what


def test_manifests_name_their_method_and_unknown_ones_are_refused(models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "later"
    folder.mkdir()
    manifest = json.loads((models / "padim" / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "method": "tomorrow"}))

    with pytest.raises(BundleError, match="'tomorrow'"):
        open_any_bundle(folder)
    with pytest.raises(BundleError, match="tomorrow"):
        find_bundle(str(folder))
    del manifest["grid_hw"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="damaged"):
        open_any_bundle(folder)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("keep", "rate", "words"), [(2, None, "2 good images"), (8, 0.05, "at least 19")])
def test_too_few_images_leave_nothing_behind(
    good_images: Any, tmp_path: Path, method: str, keep: int, rate: float | None, words: str
) -> None:
    folder = good_images(tmp_path / "data", keep)
    options = FitOptions(backbone="pcedge-s", models=tmp_path / "models", false_reject_rate=rate)

    with pytest.raises(PcedgeError, match=words):
        fit_baseline(folder, method, options)

    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("method", METHODS)
def test_images_that_cannot_be_read_can_be_too_many(good_images: Any, tmp_path: Path, method: str) -> None:
    folder = good_images(tmp_path / "data", 10)
    for number in range(7):
        (folder / f"{number}.png").write_bytes(b"broken")
    options = FitOptions(backbone="pcedge-s", preprocessing=Preprocessing(64), models=tmp_path / "models")

    with pytest.raises(PcedgeError, match="Only 3 of 10"):
        fit_baseline(folder, method, options)

    assert not list(tmp_path.glob("models/*"))


def test_a_fit_that_is_stopped_leaves_nothing_half_written(good_images: Any, tmp_path: Path) -> None:
    folder = good_images(tmp_path / "data", 60)
    # Large and without a cache, so that the fit takes longer than the way of the signal.
    slow = ("--image-size", "448", "--cache-gb", "0", "--set", "dims=10")
    command = [str(Path(sys.executable).with_name("pcedge")), "fit", str(folder), "--method", "padim"]
    options = ("--backbone", "pcedge-s", *slow, "--models", str(tmp_path / "models"))
    with subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True) as process:
        while not list(tmp_path.glob("models/.data.*/backbone.safetensors")):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=240)

    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert list((tmp_path / "models").iterdir()) == []


def test_python_can_do_what_the_commands_do(models: Path, dataset: Path) -> None:
    bundle = product.find_any_bundle("spade", models)
    with product.open_detector(bundle) as detector:
        result = product.evaluate(product.open_dataset(dataset), detector)

    assert result.metrics.image_auroc.value is not None
    assert (models / "spade" / FOLDER).is_dir()
    with pytest.raises(OptionError, match="patchcore, padim, spade"):
        product.fit_baseline(dataset, "guess")
