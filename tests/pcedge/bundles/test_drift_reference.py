"""What drift is measured against, and which bank rows are used: kept, read, merged."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.adaptation.relearn_gate import look_at_new
from pcedge.banks import Bank, RowSources
from pcedge.bundles.bundle import Bundle, edit_bundle, seal
from pcedge.bundles.drift_reference import rare_rows_of, rows_used
from pcedge.bundles.gate_files import DRIFT_FILE, gate_limits
from pcedge.bundles.row_usage import (
    RowUsage,
    UsageKeeper,
    rare_rows,
    read_usage,
    usage_of,
    write_usage,
)
from pcedge.camera import Frame, FrameGate, Verdict, glance, render_part
from pcedge.core import npz
from pcedge.core.defaults import state_directory
from pcedge.errors import BundleError, PcedgeError
from pcedge.inspection.runtimes import Candidate
from pcedge.line.inspector_pool import Assignment, InspectorPool
from pcedge.thresholds.drift import drift_reference


@pytest.fixture
def bundle(make_bundle: Callable[..., Bundle], tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "small")


def test_fit_keeps_what_pictures_are_and_which_rows_they_use(exported_line: Any) -> None:
    bundle = Bundle.open(exported_line.models / "line")

    reference = drift_reference(bundle, threshold=None, masked=False)
    rare = rare_rows_of(bundle)

    assert {name: len(values) for name, values in reference.values.items() if name != "score"} == {
        **dict.fromkeys(("light", "focus", "position_x", "position_y", "rare_rows"), 24),
        "score_high": len(reference.values["score"]),
    }
    look = FrameGate(gate_limits(bundle))
    assert look.check(render_part(0).image_rgb) == ""
    assert look.look is not None
    light = np.log(look.look.measures.brightness)
    assert reference.values["light"].min() - 0.05 < light < reference.values["light"].max() + 0.05
    assert 0.0 < np.median(reference.values["rare_rows"]) < 0.5
    assert rare is not None
    assert len(rare) == bundle.manifest.bank.rows
    assert 0.1 < rare.mean() < 0.9, "rare rows are few patches' and so many rows"
    assert reference.rejects > 0.05, "24 images promise little"


def test_scores_above_the_threshold_in_use_are_no_reference(exported_line: Any) -> None:
    bundle = Bundle.open(exported_line.models / "line")
    scores = sorted(bundle.manifest.threshold.held_out.values())

    strict = drift_reference(bundle, threshold=scores[11], masked=False)
    masked = drift_reference(bundle, threshold=None, masked=True)

    assert np.exp(strict.values["score"]) == pytest.approx(list(strict_in_order(bundle, scores[11])))
    assert strict.rejects > 0.5, "half of the good parts are NG at this threshold"
    assert masked.values.keys() == {"light", "focus", "position_x", "position_y"}


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PCEDGE_STATE", str(tmp_path / "state"))


def _kept() -> list[Path]:
    return list((state_directory() / "row_usage").iterdir())


def _files(bundle: Bundle) -> list[Path]:
    return sorted(bundle.directory.rglob("*"))


def _stored(bundle: Bundle) -> Any:
    sha = bundle.manifest.files["bank.faiss"].sha256
    return read_usage(bundle.directory, sha, bundle.manifest.bank.rows)


def strict_in_order(bundle: Bundle, limit: float) -> list[float]:
    return [score for score in bundle.manifest.threshold.held_out.values() if score <= limit]


def test_a_bundle_of_earlier_versions_or_with_another_bank_has_no_rare_rows(
    bundle: Bundle, line: Any
) -> None:
    old = drift_reference(bundle, threshold=None, masked=False)
    fitted = Bundle.open(line.models / "line")
    with edit_bundle(fitted) as staging:
        (staging / "bank.faiss").unlink()
        (staging / "bank.faiss").write_bytes(b"another")
        taught = Bundle(fitted.directory, seal(staging, fitted.manifest))

    assert old.values.keys() <= {"score", "score_high"}
    assert rare_rows_of(bundle) is None
    assert rare_rows_of(taught) is None
    reference = drift_reference(taught, threshold=None, masked=False)
    assert "light" in reference.values
    assert "rare_rows" not in reference.values, "other rows are rare now: shares of those say nothing"


@pytest.mark.parametrize(("count", "renewed_gate"), [(6, False), (20, True)])
def test_new_good_pictures_are_the_reference_from_then_on(line: Any, count: int, renewed_gate: bool) -> None:
    fitted = Bundle.open(line.models / "line")
    pictures = {f"{n}.png": (render_part(n).image_rgb * 0.9).astype(np.uint8) for n in range(count)}
    before = drift_reference(fitted, threshold=None, masked=False)

    gate, unfit = look_at_new(fitted, {name: glance(one) for name, one in pictures.items()}, keep=False)
    with edit_bundle(fitted) as staging:
        manifest = msgspec.structs.replace(fitted.manifest, gate=gate.write(staging, fitted))
        renewed = Bundle(fitted.directory, seal(staging, manifest))

    assert not unfit
    assert (gate.limits is not None, renewed.manifest.gate != fitted.manifest.gate) == (renewed_gate,) * 2
    after = drift_reference(renewed, threshold=None, masked=False)
    assert {name: len(values) for name, values in after.values.items() if "score" not in name} == {
        **dict.fromkeys(("light", "focus", "position_x", "position_y"), count),
        "rare_rows": 0,
    }
    darker = np.median(after.values["light"]) - np.median(before.values["light"])
    assert darker == pytest.approx(np.log(0.9), abs=0.03)
    assert rare_rows_of(renewed) is not None


def test_a_damaged_reference_is_an_error_that_names_it(line: Any) -> None:
    fitted = Bundle.open(line.models / "line")
    with edit_bundle(fitted) as staging:
        (staging / DRIFT_FILE).unlink()
        (staging / DRIFT_FILE).write_bytes(b"PK nonsense")
        broken = Bundle(fitted.directory, seal(staging, fitted.manifest))

    with pytest.raises(BundleError, match=r"drift\.npz cannot be read"):
        drift_reference(broken, threshold=None, masked=False)


def test_an_image_does_not_find_its_own_rows() -> None:
    random = np.random.default_rng(0)
    embeddings = random.standard_normal((2, 6, 4)).astype(np.float32)
    embeddings[1, 0] = embeddings[0, 0] + 0.01
    numbers = np.zeros(3, np.int32)
    sources = RowSources(("a", "b"), np.array([0, 0, 1], np.int32), numbers, numbers)
    bank = Bank.build(np.stack([embeddings[0, 0], embeddings[0, 1], embeddings[1, 5]]), sources)

    used = rows_used(embeddings, ("a", "b"), bank)
    of_others = rows_used(embeddings[:1], ("held out",), bank)

    assert (used[0] == 2).all()
    assert used[1, 0] == 0
    assert (used[1] < 2).all()
    assert of_others[0, :2].tolist() == [0, 1]


def test_rare_rows_hold_a_tenth_of_the_counts_at_most() -> None:
    counts = np.array([50, 0, 30, 4, 5, 1, 10])

    assert np.flatnonzero(rare_rows(counts)).tolist() == [1, 3, 4, 5]
    assert not rare_rows(np.array([7])).any()


def test_counts_are_added_to_what_was_stored_and_lie_outside_the_bundle(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = _files(bundle)
    first, second = usage_of(bundle, None), usage_of(bundle, None)
    first.add(np.array([0, 0, 3]))
    first.save()
    first.save()
    second.add(np.array([3]))
    second.save()
    first.add(np.array([0]))
    first.save()

    stored = _stored(bundle)

    assert stored is not None
    counts, last_used = stored
    assert (counts[0], counts[3], counts.sum()) == (3, 2, 5)
    assert np.flatnonzero(last_used).tolist() == [0, 3]
    assert last_used[0] > 1.6e9
    assert read_usage(bundle.directory, "another bank", bundle.manifest.bank.rows) is None
    assert read_usage(bundle.directory, bundle.manifest.files["bank.faiss"].sha256, 3) is None
    assert _files(bundle) == there, "a service need not be able to write to its bundles"
    (kept,) = _kept()
    with np.load(kept, allow_pickle=False) as file:
        assert {name: file[name].dtype.kind for name in file.files} == {
            "bank_sha256": "U",
            "counts": "i",
            "last_used": "f",
        }
    kept.unlink()
    monkeypatch.setattr("pcedge.bundles.row_usage._MOST_FILES", 2)
    for number in range(3):
        write_usage(str(number), *stored)
        os.utime(max(_kept(), key=lambda path: path.stat().st_mtime_ns), (number, number))
    assert [read_usage(bundle.directory, str(n), len(counts)) is not None for n in range(3)] == [
        False,
        True,
        True,
    ], "the oldest made room"


def test_counts_of_earlier_versions_are_read_from_the_bundle_but_through_no_link(
    bundle: Bundle, tmp_path: Path
) -> None:
    inside = bundle.directory / "row_usage.npz"
    rows, digest = bundle.manifest.bank.rows, bundle.manifest.files["bank.faiss"].sha256
    counts = np.zeros(rows, np.int64)
    counts[5] = 7
    np.savez(inside, bank_sha256=digest, counts=counts, last_used=counts * 1e6)
    usage = usage_of(bundle, None)
    usage.add(np.array([5]))
    usage.save()

    stored = _stored(bundle)
    assert stored is not None
    assert stored[0][5] == 8
    for path in _kept():
        path.unlink()
    inside.rename(tmp_path / "elsewhere.npz")
    inside.symlink_to(tmp_path / "elsewhere.npz")
    assert _stored(bundle) is None


def test_counts_stay_when_a_bundle_is_changed(bundle: Bundle) -> None:
    usage = usage_of(bundle, None)
    usage.add(np.array([1, 1]))
    usage.save()
    with edit_bundle(bundle) as staging:
        Bundle(bundle.directory, seal(staging, msgspec.structs.replace(bundle.manifest, name="b")))
    usage.add(np.array([1]))
    usage.save()

    stored = _stored(bundle)
    assert stored is not None
    assert stored[0][1] == 3


def test_a_damaged_file_is_begun_anew(bundle: Bundle) -> None:
    usage = usage_of(bundle, None)
    usage.add(np.array([2]))
    usage.save()
    (kept,) = _kept()
    kept.write_bytes(b"PK nonsense")
    later = usage_of(bundle, None)
    later.add(np.array([2]))

    later.save()

    stored = _stored(bundle)
    assert stored is not None
    assert stored[0].sum() == 1


def test_a_directory_that_cannot_be_written_is_told_once(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    usage = usage_of(bundle, None)
    usage.add(np.array([2]))
    told: list[PcedgeError] = []
    with monkeypatch.context() as patched:
        patched.setattr("pcedge.bundles.row_usage.replace_arrays", full)
        with UsageKeeper(lambda: [usage], told.append, every_s=0.01):
            time.sleep(0.1)
    usage.save()

    assert len(told) == 1
    assert "Read-only file system" in told[0].what
    stored = _stored(bundle)
    assert stored is not None
    assert stored[0][2] == 1, "what could not be written was kept"


def test_watching_counts_the_rows_of_good_parts_alone(line: Any) -> None:
    bundle = Bundle.open(line.models / "line")
    frames = [Frame("cam", n, str(n), 0.0, render_part(n).image_rgb) for n in range(3)]

    def judge(threshold: float) -> tuple[list[Any], Any]:
        assignment = Assignment(bundle, threshold)
        with InspectorPool({"cam": assignment}, lambda _: Candidate("onnx", "cpu")) as inspector:
            with UsageKeeper(inspector.usages, lambda _: None):
                found = inspector.inspect(frames)
            assert inspector.bundle("cam") == bundle
        return found, _stored(bundle)

    rejected, none = judge(0.0)
    passed, stored = judge(100.0)

    assert [one.verdict for one in rejected] == [Verdict.NG] * 3
    assert none is None
    assert [one.verdict for one in passed] == [Verdict.OK] * 3
    assert stored[0].sum() == 3 * 784
    assert all(0 <= one.numbers["rare_rows"] < 0.5 for one in [*passed, *rejected])


def test_rare_rows_are_learned_where_the_bundle_does_not_know_them(bundle: Bundle) -> None:
    usage = RowUsage(bundle.directory, "bank", 20)
    common, rare = np.arange(10), np.arange(10, 20)
    assert usage.rare_share(common) is None

    for frame in range(200):
        usage.add(common if frame % 20 else rare)

    assert usage.rare_share(common) == 0
    assert usage.rare_share(rare) == 1


def test_rows_that_are_rare_are_learned_from_all_counts_also_while_they_are_saved(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = usage_of(bundle, None)
    common, rare = np.arange(10), np.arange(10, 20)
    for _ in range(199):
        usage.add(common)
    real = npz.replace_arrays

    def save_while_inspecting(path: Path, content: dict[str, NDArray[Any]]) -> None:
        if usage.rare_share(rare) is None:
            usage.add(rare)
        real(path, content)

    monkeypatch.setattr("pcedge.bundles.row_usage.replace_arrays", save_while_inspecting)
    usage.save()
    usage.save()

    assert (usage.rare_share(common), usage.rare_share(rare)) == (0, 1)
    stored = _stored(bundle)
    assert stored is not None
    assert stored[0][:20].tolist() == [199] * 10 + [1] * 10
