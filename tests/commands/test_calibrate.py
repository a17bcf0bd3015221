"""``pcedge calibrate``: new thresholds from new good images, without PyTorch, or a clear refusal."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pcedge import CalibrationOptions, calibrate
from pcedge.adaptation.teaching import TeachOptions, read_log, teach
from pcedge.bundles.bundle import Bundle, find_bundle
from pcedge.bundles.gate_files import gate_limits
from pcedge.camera import Frame, FrameGate, read_image, render_part, write_image
from pcedge.deployment.exporting.precisions import find_images
from pcedge.errors import DatasetError, OptionError, PcedgeError
from pcedge.inspection.runtimes import Candidate, open_inspector
from pcedge.inspection.verification.certificate import valid_certificate
from pcedge.inspection.verification.golden import with_fault
from pcedge.inspection.verification.verify import verify
from pcedge.line.config import read_line_file
from pcedge.line.open_line import open_line
from pcedge.thresholds.calibration_data import read_evidence
from pcedge.thresholds.conformal import threshold_at
from pcedge.thresholds.drift import drift_reference

from ..conftest import Line, Run

NEW = 30


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """New good images of the rendered line, in two folders of a day each."""
    folder = tmp_path_factory.mktemp("new")
    for seed in range(NEW):
        day = folder / ("monday" if seed % 2 else "friday")
        day.mkdir(exist_ok=True)
        write_image(day / f"{seed:02}.png", render_part(5_000_000 + seed).image_rgb)
    return folder


@pytest.fixture
def more(new: Path, tmp_path: Path) -> Path:
    """The same images, to be changed."""
    return Path(shutil.copytree(new, tmp_path / "more"))


def _bundle(line: Line) -> Bundle:
    return find_bundle("line", line.models)


def _files(bundle: Bundle) -> dict[str, bytes]:
    return {
        path.relative_to(bundle.directory).as_posix(): path.read_bytes()
        for path in bundle.directory.rglob("*")
        if path.is_file()
    }


def test_thresholds_are_those_of_the_new_images_and_what_runs_proves_itself_again(
    line: Line, new: Path, pcedge: Run
) -> None:
    before = _bundle(line).manifest.threshold

    done = pcedge("calibrate", new, "--model", "line", "--json", "--models", line.models, torch=False)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    bundle = _bundle(line)
    limits, paths = bundle.manifest.threshold, sorted(new.rglob("*.png"))
    with open_inspector(bundle) as inspector:
        judged = [inspector.inspect(read_image(path)) for path in paths]
    scores = np.array([one.score for one in judged], np.float32)
    assert limits.score == pytest.approx(threshold_at(scores, before.false_reject_rate), rel=1e-5)
    assert limits.held_out == pytest.approx(
        {path.relative_to(new).as_posix(): score for path, score in zip(paths, scores, strict=True)}, rel=1e-5
    )
    assert limits.proven_rate == limits.false_reject_rate == before.false_reject_rate
    assert "split conformal" in limits.guarantee
    assert limits.images.endswith(new.name)
    [change] = found["precisions"].values()
    assert (change["threshold_before"], change["threshold"]) == (before.score, limits.score)
    assert change["rejected_before"] == pytest.approx((scores > before.score).mean())
    assert (found["images"], found["smallest_rate"]) == (NEW, 1 / (NEW + 1))
    assert found["gate"] == {"renewed": True, "images": NEW, "turned_away_before": {}}
    assert sum(one.verdict.value == "NG" for one in judged) == 0  # the largest score is the threshold
    assert min(one.p_value for one in judged if one.p_value) == pytest.approx(2 / (NEW + 1))
    drift = drift_reference(bundle, threshold=None, masked=False)
    assert len(drift.values["light"]) == len(drift.values["score"]) == NEW

    assert valid_certificate(bundle, "onnx", "cpu") is None
    assert verify(bundle, Candidate("onnx", "cpu")).parity.holds
    evidence = read_evidence(bundle)
    assert evidence is not None
    assert evidence.held_out.folds == 1
    assert set(evidence.learned) == {f"train/good/{path.name}" for path in line.dataset.glob("train/good/*")}
    # The images fitted on are known all the same, for banks in other precisions.
    assert find_images(bundle, line.dataset).root == line.dataset


def test_a_dry_run_shows_and_changes_nothing(line: Line, new: Path, pcedge: Run) -> None:
    before = _files(_bundle(line))

    done = pcedge("calibrate", new, "--dry-run", "--models", line.models)

    assert done.returncode == 0, done.stderr
    assert f"Dry run: would calibrate line on {NEW} new good images" in done.stdout
    assert "NG above" in done.stdout
    assert "REVIEW above" in done.stdout
    assert f"The frame gate (light, focus, place) is learned anew from these {NEW}." in done.stderr
    assert f"{NEW} images support a rate of 3.23% at best" in done.stderr
    assert _files(_bundle(line)) == before


def test_what_is_no_new_good_image_is_left_out_and_named(line: Line, more: Path) -> None:
    training = sorted(line.dataset.glob("train/good/*"))[:3]
    for number, path in enumerate(training):
        shutil.copy(path, more / f"trained-{number}.png")
    write_image(more / "black.png", np.zeros((384, 384, 3), np.uint8))
    (more / "broken.png").write_bytes(b"hello")
    (more / "broken too.png").write_bytes(b"hello again")
    shutil.copy(more / "monday" / "01.png", more / "twice.png")

    result = calibrate(_bundle(line), [more], CalibrationOptions(dry_run=True))

    assert result.images == NEW
    assert result.learned == {
        f"trained-{number}.png": f"train/good/{path.name}" for number, path in enumerate(training)
    }
    assert set(result.skipped) == {"black.png", "broken.png", "broken too.png", "monday/01.png"}
    assert "black" in result.skipped["black.png"]
    assert all("is not an image" in result.skipped[name] for name in ("broken.png", "broken too.png"))
    assert result.skipped["monday/01.png"] == "is the same file as twice.png"
    assert not result.unchecked


def test_training_images_alone_are_refused(line: Line, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="which the bank was learned from"):
        calibrate(_bundle(line), [line.dataset / "train" / "good"])


def test_too_few_images_are_refused_with_the_number_it_takes(line: Line, more: Path) -> None:
    (more / "friday" / "00.png").write_bytes(b"hello")
    options = CalibrationOptions(false_reject_rate=0.01)

    with pytest.raises(
        OptionError, match=r"29 new good images \(without 1 that cannot .*at least 99"
    ) as error:
        calibrate(_bundle(line), [more], options)
    assert "--false-reject-rate 0.034" in error.value.hint
    with pytest.raises(OptionError, match="2 groups of new good images"):
        calibrate(_bundle(line), [more], CalibrationOptions(groups="folder"))


def test_groups_count_once(line: Line, new: Path) -> None:
    options = CalibrationOptions(false_reject_rate=0.4, groups=r"(monday|friday)/", dry_run=True)

    result = calibrate(_bundle(line), [new], options)

    limits = result.changes["fp32"].after
    assert (result.units, set(limits.groups.values())) == (2, {"monday", "friday"})
    assert "of a new group" in limits.guarantee


def test_an_image_far_beyond_anything_seen_does_not_set_the_threshold_unasked(line: Line, more: Path) -> None:
    strange = with_fault({"a": read_image(more / "monday" / "01.png")}, seed=0)["a-with-noise"]
    write_image(more / "strange.png", strange)
    bundle = _bundle(line)
    before = _files(bundle)

    with pytest.raises(DatasetError, match=r"far out .*strange\.png .*may show a defect"):
        calibrate(bundle, [more])
    assert _files(bundle) == before

    kept = calibrate(bundle, [more], CalibrationOptions(keep_suspicious=True))
    assert kept.written
    assert next(iter(kept.suspicious)) == "strange.png"
    assert kept.changes["fp32"].after.score > kept.changes["fp32"].before.score


def test_what_cannot_be_meant_is_said(line: Line, tmp_path: Path, new: Path) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(DatasetError, match="There is no image and no folder"):
        calibrate(_bundle(line), [tmp_path / "nowhere"])
    with pytest.raises(DatasetError, match="There are no images"):
        calibrate(_bundle(line), [tmp_path / "empty"])
    with pytest.raises(OptionError, match=r"review rate of 0\.01"):
        calibrate(_bundle(line), [new], CalibrationOptions(review_rate=0.01))


def test_a_bundle_without_pictures_is_said(
    line: Line, pcedge: Run, assert_clear: Callable[..., None]
) -> None:
    assert_clear(
        pcedge("calibrate", "line", "--models", line.models, torch=False),
        "no images are named",
        "line FOLDER",
    )


def test_pictures_that_were_taught_are_left_out(line: Line, more: Path) -> None:
    taught = sorted(more.rglob("*.png"))[:3]
    noise = np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)
    for path in taught:
        image = np.array(read_image(path))
        image[160:208, 160:208] = noise  # the same new thing in all of them
        write_image(path, image)
    teach(_bundle(line), taught, TeachOptions(force=True))
    assert [one.outcome for one in read_log(_bundle(line))[-1].images] == ["taught"] * 3

    result = calibrate(_bundle(line), [more], CalibrationOptions(dry_run=True, keep_suspicious=True))

    assert set(result.learned) == {path.relative_to(more).as_posix() for path in taught}
    assert all("taught in lesson 1" in name for name in result.learned.values())
    assert result.images == NEW - 3


def _dim(folder: Path) -> None:
    for path in folder.rglob("*.png"):
        write_image(path, (read_image(path) * 0.6).astype(np.uint8))


def test_under_a_new_light_the_frame_gate_is_learned_anew_without_what_is_unlike_the_others(
    line: Line, more: Path
) -> None:
    _dim(more)
    odd = render_part(0).image_rgb
    write_image(more / "bright.png", odd)
    write_image(more / "moved.png", np.roll((odd * 0.6).astype(np.uint8), 100, axis=1))
    before = _bundle(line)
    pictures = [read_image(path) for path in sorted(more.glob("*day/*.png"))]

    result = calibrate(before, [more], CalibrationOptions(keep_suspicious=True))

    assert set(result.skipped) == {"bright.png", "moved.png"}
    assert "unlike the others: too bright: mean" in result.skipped["bright.png"]
    assert len(result.gate.turned_away) == result.images == NEW
    assert all(reason.startswith("too dark") for reason in result.gate.turned_away.values())
    gate = FrameGate(gate_limits(_bundle(line)), frozen_after=0)
    assert [gate.check(picture) for picture in pictures] == [""] * NEW
    assert "too bright" in gate.check(odd)
    drift = drift_reference(_bundle(line), threshold=None, masked=False)
    assert len(drift.values["light"]) == len(drift.values["position_x"]) == NEW
    info = _bundle(line).manifest.gate
    assert info is not None
    assert info.images == NEW


def test_the_frame_gate_stays_where_it_is_asked_to_or_pictures_are_few(line: Line, more: Path) -> None:
    _dim(more)
    before = _files(_bundle(line))

    with pytest.raises(DatasetError, match="too dark: mean") as kept:
        calibrate(_bundle(line), [more], CalibrationOptions(keep_gate=True))
    with pytest.raises(DatasetError, match="too dark: mean") as few:
        calibrate(_bundle(line), [more / "monday"])

    assert "leave --keep-gate out" in kept.value.hint
    assert "give 20 images or more" in few.value.hint
    assert _files(_bundle(line)) == before


def test_what_the_old_gate_turns_away_is_left_out_where_it_stays(
    line: Line, new: Path, tmp_path: Path, pcedge: Run
) -> None:
    dark = tmp_path / "dark.png"
    write_image(dark, (render_part(0).image_rgb * 0.5).astype(np.uint8))
    options = ("--keep-gate", "--dry-run", "--json", "--models", line.models)

    done = pcedge("calibrate", "--model", "line", new, dark, *options, torch=False)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["gate"] == {"renewed": False, "images": NEW, "turned_away_before": {}}
    assert [reason.startswith("too dark") for reason in found["skipped"].values()] == [True]


def test_a_line_that_runs_judges_by_the_new_gate_and_thresholds(
    line: Line, more: Path, tmp_path: Path
) -> None:
    _dim(more)
    (tmp_path / "incoming").mkdir()
    (tmp_path / "line.toml").write_text('[[camera]]\nsource = "incoming"\n', encoding="utf-8")
    picture = read_image(more / "monday" / "01.png")
    problems: list[PcedgeError] = []
    with open_line(
        read_line_file(tmp_path / "line.toml"),
        tmp_path / "out",
        models=line.models,
        choose=lambda _: Candidate("onnx", "cpu"),
        on_problem=problems.append,
        base=tmp_path,
        follow=False,
    ) as opened:
        [(camera, station)] = opened.stations.items()
        frame = Frame(camera, 0, "part", 0.0, picture)
        assert "too dark" in station.view(frame).fault

        after = (
            calibrate(_bundle(line), [more], CalibrationOptions(keep_suspicious=True)).changes["fp32"].after
        )
        give_up_at = time.monotonic() + 120
        while station.view(frame).fault and time.monotonic() < give_up_at:
            time.sleep(0.1)
        [inspection] = opened.inspector.inspect([frame])

    assert station.view(frame).fault == ""
    assert (inspection.threshold, problems) == (after.score, [])
