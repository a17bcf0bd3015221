"""Lessons on a real bundle: what is learned, what is refused, the log, and the way back."""

import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

import pcedge
from pcedge.adaptation.teaching import TeachOptions, read_log, rollback, store_examples, teach
from pcedge.adaptation.teaching.bank.row_ranges import read_ranges
from pcedge.adaptation.teaching.lesson_log import LOG_FILE
from pcedge.adaptation.teaching.taught_bundle import Images, read_pictures
from pcedge.adaptation.teaching.teacher_lock import only_teacher
from pcedge.banks import INDEX_FILE
from pcedge.bundles.bundle import ROW_USAGE_FILE, Bundle, edit_bundle, seal
from pcedge.bundles.nominal_images import NOMINAL_FILE, KeptPictures
from pcedge.bundles.row_usage import read_usage
from pcedge.camera import Frame, render_part, write_image
from pcedge.deployment.indexing.comparison import build_index, compare_indexes, golden_frames
from pcedge.deployment.indexing.spec import IndexSpec
from pcedge.deployment.indexing.stored_indexes import keep_indexes
from pcedge.errors import BundleError, ImageError, LessonRefusedError, OptionError
from pcedge.inspection.runtimes import Candidate
from pcedge.line.bundle_reloader import Reloader
from pcedge.line.inspector_pool import Assignment, InspectorPool
from pcedge.thresholds.calibration_data import CALIBRATION_FILE, read_evidence

SIZE = 160
TRAIN, NEW = 16, 9


def _brushed(image_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A new batch: fine upright lines all over the part."""
    lines = 4 * np.sin(np.arange(SIZE, dtype=np.float32) * (2 * np.pi * 28 / SIZE))
    return np.asarray(np.clip(image_rgb + lines[np.newaxis, :, np.newaxis], 0, 255), np.uint8)


@dataclass(frozen=True)
class School:
    """A bundle and images: of a new batch, good ones as at fit, defects, another product's."""

    bundle: Bundle
    new: list[Path]
    good: list[Path]
    defects: list[Path]
    other: list[Path]

    def digest(self, name: str = INDEX_FILE) -> str:
        return sha256((self.bundle.directory / name).read_bytes()).hexdigest()

    def opened(self) -> Bundle:
        return Bundle.open(self.bundle.directory)

    def tree(self) -> dict[str, str]:
        files = (path for path in self.bundle.directory.rglob("*") if path.is_file())
        return {path.name: sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> School:
    root = tmp_path_factory.mktemp("school")

    def write(folder: str, pictures: Sequence[NDArray[np.uint8]]) -> list[Path]:
        (root / folder).mkdir(parents=True)
        paths = [root / folder / f"{number}.png" for number in range(len(pictures))]
        for path, picture in zip(paths, pictures, strict=True):
            write_image(path, picture)
        return paths

    parts = [render_part(seed, size=SIZE).image_rgb for seed in range(TRAIN + NEW + 3)]
    write("line/train/good", parts[:TRAIN])
    new = write("new", [_brushed(part) for part in parts[TRAIN : TRAIN + NEW]])
    good = write("good", parts[TRAIN + NEW :])
    kinds = ("missing_hole", "scratch", "contamination")
    defects = write("defects", [render_part(50 + n, kind, SIZE).image_rgb for n, kind in enumerate(kinds)])
    noise = np.random.default_rng(0).integers(0, 255, (3, SIZE, SIZE, 3), np.uint8)
    other = write("other", [_mixed(part, one) for part, one in zip(parts, noise, strict=False)])
    options = pcedge.FitOptions(
        backbone="pcedge-s", coreset=pcedge.CoresetSize.parse("5%"), models=root / "models"
    )
    bundle = pcedge.export_bundle(pcedge.fit(root / "line", options).bundle).bundle
    return School(bundle, new, good, defects, other)


def _mixed(part: NDArray[np.uint8], noise: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Nothing like the part, but as bright."""
    return np.asarray(noise // 2 + int(part.mean()) - 64, np.uint8)


@pytest.fixture
def school(fitted: School, tmp_path: Path) -> School:
    directory = tmp_path / "models" / "line"
    shutil.copytree(fitted.bundle.directory, directory)
    return School(Bundle.open(directory), fitted.new, fitted.good, fitted.defects, fitted.other)


def test_a_new_batch_is_learned_from_five_of_its_pictures(school: School) -> None:
    before, fitted = school.bundle.manifest, school.bundle.open_bank().rows
    rest = school.new[5:]
    with pcedge.open_inspector(school.bundle) as inspector:
        assert all(inspector.stages(pcedge.read_image(path)).score > before.threshold.score for path in rest)

    result = teach(school.bundle, school.new[:5], TeachOptions(by="ada", note="batch 7"))

    assert [one.outcome for one in result.images] == ["taught"] * 5, result.images
    bundle = school.opened()
    limits = bundle.manifest.threshold
    assert bundle.manifest.bank.rows == before.bank.rows + result.added == result.rows
    assert 0 < result.added <= 0.1 * before.bank.rows
    assert limits.score <= before.threshold.score
    assert all(one.score_after is not None and one.score_after <= limits.score for one in result.images)
    with pcedge.open_inspector(bundle) as inspector:
        passed = [inspector.stages(pcedge.read_image(path)).score <= limits.score for path in rest]
        rows = inspector.bank.rows
        sources = inspector.bank.sources
    assert np.mean(passed) >= 0.75
    np.testing.assert_array_equal(rows[: before.bank.rows], fitted)
    taught = [sources.images[number] for number in sources.image[before.bank.rows :]]
    assert set(taught) <= {f"taught/0001/{path.name}" for path in school.new[:5]}
    assert {one.name: one.rows for one in result.images} == {
        path.name: taught.count(f"taught/0001/{path.name}") for path in school.new[:5]
    }
    assert set(taught) <= set(KeptPictures(bundle.file(NOMINAL_FILE)).names)
    assert pcedge.verify(bundle, Candidate("onnx", "cpu")).parity.holds
    start, lesson = read_log(bundle)
    assert (start.kind, lesson.kind, lesson.who, lesson.note) == ("fitted", "lesson", "ada", "batch 7")
    assert lesson.images[0].sha256 == sha256(school.new[0].read_bytes()).hexdigest()
    assert (start.states["fp32"].score, lesson.states["fp32"].score) == (
        before.threshold.score,
        limits.score,
    )


def test_rolling_back_gives_the_bank_byte_for_byte_and_is_a_lesson_itself(school: School) -> None:
    names = (INDEX_FILE, "bank_rows.npz", CALIBRATION_FILE, "golden/stages.npz")
    fitted = school.bundle.manifest
    origin = {name: school.digest(name) for name in names}
    first = teach(school.bundle, school.new[:4]).bundle.manifest
    one = {name: school.digest(name) for name in names}
    teach(school.bundle, school.defects[:1], TeachOptions(force=True))
    assert school.digest() not in (origin[INDEX_FILE], one[INDEX_FILE])

    rollback(school.bundle, 1)

    assert {name: school.digest(name) for name in names} == one
    assert school.opened().manifest.threshold == first.threshold

    rollback(school.bundle, 0)

    assert {name: school.digest(name) for name in names} == origin
    assert school.opened().manifest.threshold == fitted.threshold
    assert school.opened().manifest.bank == fitted.bank

    result = rollback(school.bundle, 3)

    assert {name: school.digest(name) for name in names} == one
    assert result.entry == 5
    assert [entry.kind for entry in read_log(school.opened())] == [
        "fitted",
        *["lesson"] * 2,
        *["rollback"] * 3,
    ]
    assert pcedge.verify(school.opened(), Candidate("onnx", "cpu")).parity.holds


def test_calibrating_between_lessons_is_a_state_to_go_back_to(school: School) -> None:
    first = teach(school.bundle, school.new[:3]).bundle.manifest.threshold
    calibrated = msgspec.structs.replace(first, score=first.score * 1.5, review=None)
    with edit_bundle(school.opened()) as staging:
        seal(staging, msgspec.structs.replace(school.opened().manifest, threshold=calibrated))

    teach(school.opened(), school.defects[:1], TeachOptions(force=True))

    kinds = [entry.kind for entry in read_log(school.opened())]
    assert kinds == ["fitted", "lesson", "changed", "lesson"]
    assert rollback(school.opened(), 1).bundle.manifest.threshold == first
    assert rollback(school.opened(), 2).bundle.manifest.threshold == calibrated


def test_a_defect_alone_is_refused_and_nothing_is_written(school: School) -> None:
    tree = school.tree()

    result = teach(school.bundle, school.defects[:1])

    (one,) = result.images
    assert (one.outcome, result.entry) == ("refused", None)
    assert "beyond anything seen" in one.reason
    assert "may be a defect" in one.reason
    assert school.tree() == tree


def test_a_defect_in_a_lesson_of_a_new_batch_is_refused_and_the_others_are_taught(school: School) -> None:
    result = teach(school.bundle, [*school.new[:4], school.defects[0]])

    assert [one.outcome for one in result.images] == [*["taught"] * 4, "refused"]


def test_what_is_forced_is_taught_and_the_log_says_so(school: School) -> None:
    result = teach(school.bundle, school.defects[:1], TeachOptions(force=True, note="it is good"))

    assert result.images[0].outcome == "taught"
    assert "forced" in result.images[0].reason
    assert read_log(result.bundle)[-1].forced


@pytest.mark.parametrize("force", [False, True])
def test_pictures_that_teach_nothing(school: School, tmp_path: Path, force: bool) -> None:
    write_image(tmp_path / "black.png", np.zeros((SIZE, SIZE, 3), np.uint8))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    paths = [school.good[0], tmp_path / "black.png", tmp_path / "broken.png", *school.other]

    result = teach(school.bundle, paths, TeachOptions(force=force))

    reasons = [(one.outcome, one.reason) for one in result.images]
    assert reasons[0] == ("passes", "nothing to learn: it passes")
    assert reasons[1] == ("refused", "the frame gate turns it away: black: mean 0.0 of 255")
    assert reasons[2][0] == "refused"
    assert "cannot be read" in reasons[2][1]
    assert all(outcome == "refused" for outcome, _ in reasons[3:])
    assert all("another product" in why or "frame gate" in why for _, why in reasons[3:])
    assert result.entry is None


def test_a_lesson_that_hides_a_stored_defect_is_refused(school: School) -> None:
    store_examples(school.bundle, defects=[school.new[8]])
    digest = school.digest()

    with pytest.raises(
        LessonRefusedError, match=r"would blind the inspector: the defect example 8\.png"
    ) as caught:
        teach(school.bundle, school.new[:5])

    assert "--force" in caught.value.hint
    assert school.digest() == digest
    assert teach(school.bundle, school.new[:5], TeachOptions(force=True)).entry == 2


def test_stored_good_pictures_confirm_a_lesson(school: School) -> None:
    assert teach(school.bundle, school.new[:1]).images[0].outcome == "refused"
    stored = store_examples(school.bundle, good=school.new[5:8])
    assert [one.outcome for one in stored.images] == ["stored"] * 3

    assert teach(school.bundle, school.new[:1]).images[0].outcome == "taught"


def test_an_example_cannot_be_both(school: School) -> None:
    store_examples(school.bundle, good=school.good[:1])

    with pytest.raises(OptionError, match="stored as a good example"):
        store_examples(school.bundle, defects=school.good[:1])


def test_the_bank_grows_no_further_than_told_and_the_oldest_rows_go(school: School) -> None:
    fitted = school.bundle.manifest.bank.rows
    few = TeachOptions(max_growth=0.05, force=True)
    teach(school.bundle, school.new[:3], few)
    before = read_ranges(read_log(school.opened())[-1].states["fp32"].taught)
    counts = np.arange(fitted + len(before))
    digest = school.opened().manifest.files[INDEX_FILE].sha256
    np.savez(
        school.bundle.directory / ROW_USAGE_FILE, bank_sha256=digest, counts=counts, last_used=counts * 1e6
    )

    result = teach(school.bundle, [school.defects[0]], few)

    state = read_log(result.bundle)[-1].states["fp32"]
    after = read_ranges(state.taught)
    assert result.rows == fitted + len(after) <= int(1.05 * fitted)
    assert result.pruned == len([row for row in before if row not in after]) > 0
    # Those used longest ago went: the counts above grow with the row's number.
    assert [row for row in after if row[0] == 1] == before[len(before) - (len(after) - result.added) :]
    usage = read_usage(result.bundle.directory, state.bank_sha256, result.rows)
    assert usage is not None
    places = [fitted + before.index(row) if row in before else 0 for row in after]
    np.testing.assert_array_equal(usage[0], [*range(fitted), *places])
    rollback(result.bundle, 1)
    assert school.digest() == digest


def test_a_second_teacher_is_told(school: School) -> None:
    with (
        only_teacher(school.bundle.directory, 0),
        pytest.raises(BundleError, match="is being taught by another process"),
    ):
        teach(school.bundle, school.new[:3], TeachOptions(wait_s=0.0))


def _tamper(line: bytes) -> bytes:
    return line.replace(b'"who":"ada"', b'"who":"bob"')


@pytest.mark.parametrize("change", [_tamper, lambda line: line[:40], lambda line: b"\xff" + line])
def test_a_changed_log_is_noticed_even_if_the_manifest_was_changed_too(
    school: School, change: Callable[[bytes], bytes]
) -> None:
    taught = teach(school.bundle, school.new[:3], TeachOptions(by="ada")).bundle
    path = taught.directory / LOG_FILE
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], change(lines[1])]))
    bank = school.digest()

    with pytest.raises(BundleError, match=r"lessons\.jsonl is not the file that the manifest describes"):
        read_log(taught)

    path.write_bytes(b"".join(lines))
    with edit_bundle(taught) as staging:
        (staging / LOG_FILE).unlink()
        (staging / LOG_FILE).write_bytes(b"".join([lines[0], change(lines[1])]))
        sealed = seal(staging, taught.manifest)
    changed = Bundle(taught.directory, sealed)
    with pytest.raises(BundleError, match=r"lessons\.jsonl, line 2 is damaged"):
        teach(changed, school.new[3:6])
    with pytest.raises(BundleError, match=r"lessons\.jsonl, line 2 is damaged"):
        rollback(changed, 0)
    assert school.digest() == bank


_KILLED = """
import os, signal, sys
from pathlib import Path
import pcedge, pcedge.adaptation.teaching.lesson as lesson
from pcedge.bundles.bundle import Bundle
real = lesson.{call}
def dying(*args, **kwargs):
    if {late}: real(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
lesson.{call} = dying
pcedge.teach(Bundle.open(Path(sys.argv[1])), [Path(path) for path in sys.argv[2:]])
"""


@pytest.mark.parametrize(("call", "late"), [("change_bank", True), ("finish", True), ("keep_usage", False)])
def test_a_kill_in_the_middle_leaves_the_old_bundle_or_the_new_one(
    school: School, call: str, late: bool
) -> None:
    digest = school.digest()

    done = subprocess.run(
        [
            sys.executable,
            "-c",
            _KILLED.format(call=call, late=late),
            school.bundle.directory,
            *school.new[:3],
        ],
        check=False,
        capture_output=True,
        timeout=240,
    )

    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (school.digest() == digest) == (call != "keep_usage")
    assert pcedge.verify(school.opened(), Candidate("onnx", "cpu")).parity.holds
    assert len(read_log(school.opened())) == (2 if call == "keep_usage" else 0)
    assert teach(school.opened(), school.new[3:6], TeachOptions(force=True)).entry is not None


def test_every_precision_is_taught_through_its_own_network(school: School) -> None:
    _add_precision(school.bundle)
    bundle = school.opened()
    digests = [school.digest(name) for name in (INDEX_FILE, f"fp16/{INDEX_FILE}")]

    taught = teach(bundle, school.new[:4]).bundle

    own, other = taught.manifest, taught.in_precision("fp16").manifest
    assert own.bank.rows > bundle.manifest.bank.rows
    assert other.bank.rows > bundle.manifest.bank.rows
    assert pcedge.verify(taught, Candidate("onnx", "cpu", "fp16")).parity.holds
    assert set(read_log(taught)[-1].states) == {"fp32", "fp16"}

    rollback(taught, 0)

    assert [school.digest(name) for name in (INDEX_FILE, f"fp16/{INDEX_FILE}")] == digests


def _add_precision(bundle: Bundle) -> None:
    """The bundle itself once more, called another precision: its bank and network are its own."""
    with edit_bundle(bundle) as staging:
        shutil.copytree(bundle.directory, staging / "fp16")
        seal(staging / "fp16", msgspec.structs.replace(bundle.manifest, precision="fp16"))
        seal(staging, bundle.manifest)


def test_an_approximate_index_of_the_old_bank_goes(school: School) -> None:
    built = [build_index(school.bundle, IndexSpec.parse(name)) for name in ("exact", "SQ8")]
    reports = compare_indexes(school.bundle, built, golden_frames(school.bundle))
    kept = keep_indexes(school.bundle, [(built[1], reports[1].cost)], use="SQ8")

    in_milvus = msgspec.structs.replace(kept.manifest.indexes["SQ8"], factory="milvus", file="")
    with edit_bundle(kept) as staging:
        indexes = {**kept.manifest.indexes, "milvus": in_milvus}
        seal(staging, msgspec.structs.replace(kept.manifest, indexes=indexes))

    result = teach(kept, school.new[:3])

    assert (result.bundle.manifest.index, result.bundle.manifest.indexes) == ("exact", {})
    assert any("the index SQ8 was made for the old bank" in note for note in result.notes)
    assert not list(result.bundle.directory.glob("*SQ8*"))


def test_thresholds_are_those_of_held_out_scores_against_the_grown_bank(school: School) -> None:
    evidence = read_evidence(school.bundle)
    assert evidence is not None

    result = teach(school.bundle, school.new[:4])

    rows = result.bundle.open_bank().rows[school.bundle.manifest.bank.rows :]
    expected = evidence.after_adding(rows).limits_again(school.bundle.manifest.threshold)
    found = result.bundle.manifest.threshold
    assert (found.score, found.map, found.review) == (expected.score, expected.map, expected.review)


def test_the_command_teaches_without_torch(
    school: School, pcedge: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    models = school.bundle.directory.parent
    command = ("teach", "line", *school.new[:5], school.defects[0], "--models", models, "--json")

    done = pcedge(*command, torch=False)

    assert done.returncode == 3, done.stderr
    told = json.loads(done.stdout)
    assert [one["outcome"] for one in told["images"]] == ["taught"] * 5 + ["refused"]
    history = pcedge("teach", "line", "--history", "--models", models)
    assert "as it was fitted" in history.stdout
    assert "1 refused" in history.stdout


def test_a_running_inspector_takes_a_lesson_over(school: School) -> None:
    taken: list[object] = []
    problems: list[object] = []
    arrived = threading.Event()

    def take(_camera: str, bundle: object) -> None:
        taken.append(bundle)
        arrived.set()

    picture = Frame("part", 0, "part", 0.0, pcedge.read_image(school.new[-1]))
    with InspectorPool({"part": Assignment(school.bundle)}, lambda _: Candidate("onnx", "cpu")) as inspector:
        (before,) = inspector.inspect([picture])
        with Reloader(
            inspector,
            {"part": school.bundle.directory},
            on_reload=take,
            on_problem=problems.append,
            poll_s=0.02,
        ):
            result = teach(school.bundle, school.new[:5])
            assert arrived.wait(60), problems
        (after,) = inspector.inspect([picture])

    assert taken == [result.bundle]
    assert before.score is not None
    assert after.score is not None
    assert after.score < before.score


def test_a_bank_without_room_for_a_row_is_said_instead_of_a_lesson_that_teaches_nothing(
    school: School,
) -> None:
    tree = school.tree()

    with pytest.raises(OptionError, match="has no room for a row") as caught:
        teach(school.bundle, school.new[:3], TeachOptions(max_growth=1e-6))

    assert school.tree() == tree
    enough = float(caught.value.hint.split()[-1].rstrip("."))
    assert teach(school.bundle, school.new[:3], TeachOptions(max_growth=enough)).added == 1


def test_an_empty_folder_is_said(
    exported_line: Any, tmp_path: Path, pcedge: Callable[..., Any], assert_clear: Callable[..., None]
) -> None:
    done = pcedge("teach", "line", tmp_path, "--models", exported_line.models, torch=False)

    assert_clear(done, f"There are no images in {tmp_path}")


def test_an_example_that_cannot_be_read_is_said(school: School, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")

    with pytest.raises(ImageError, match=r"broken\.png: is not an image, or is damaged\.\n"):
        store_examples(school.bundle, defects=[tmp_path / "broken.png"])


def test_pictures_are_not_held_in_memory_and_one_that_changes_meanwhile_is_no_lesson(
    school: School, tmp_path: Path
) -> None:
    paths = [Path(shutil.copy(path, tmp_path / path.name)) for path in school.new[:3]]
    pictures = read_pictures(school.bundle, paths)
    shutil.copy(school.new[4], paths[1])

    shown = Images(pictures)

    assert [one.problem for one in pictures] == [""] * 3
    np.testing.assert_array_equal(shown[0], pcedge.read_image(school.new[0]))
    assert len(shown[1:]) == 2
    with pytest.raises(ImageError, match="was changed while it was being learned from"):
        shown[1]
