import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import pcedge
from pcedge.bundles.bundle import Bundle
from pcedge.camera import Frame, Verdict, render_part
from pcedge.errors import BundleError, OptionError, PcedgeError
from pcedge.inspection.runtimes import Candidate
from pcedge.line.bundle_reloader import Reloader
from pcedge.line.inspector_pool import Assignment, InspectorPool
from pcedge.methods import AnyBundle


def _onnx(_bundle: AnyBundle) -> Candidate:
    return Candidate("onnx", "cpu")


def _frame(camera: str, seed: int, kind: str = "good") -> Frame:
    return Frame("s", seed, str(seed), 1e9, render_part(seed, kind).image_rgb, camera=camera)


@pytest.fixture(scope="module")
def bundle(exported_line: Any) -> Bundle:
    return Bundle.open(exported_line.models / "line")


def test_cameras_with_one_network_share_it_and_are_judged_as_each_alone(bundle: Bundle) -> None:
    assignments = {
        "plain": Assignment(bundle),
        "strict": Assignment(bundle, threshold=0.0),
        "reviewed": Assignment(bundle, threshold=1e9, review=0.0),
    }
    frames = [_frame(camera, seed) for seed, camera in enumerate(assignments)]
    with pcedge.open_inspector(bundle) as alone:
        expected = [alone.inspect(render_part(seed).image_rgb).score for seed in range(3)]
    with InspectorPool(assignments, _onnx) as inspector:
        assert len(inspector.runtimes) == 1
        together = inspector.inspect(frames)
        one_by_one = [inspector.inspect([frame])[0] for frame in frames]

    assert [one.score for one in together] == pytest.approx(expected, rel=1e-4)
    assert [one.score for one in one_by_one] == pytest.approx(expected, rel=1e-4)
    assert [one.verdict for one in together[1:]] == [Verdict.NG, Verdict.REVIEW]
    assert together[2].review_threshold == 0.0
    assert together[1].regions == () or together[1].regions[0].peak > 0


def test_on_a_processor_frames_gain_nothing_from_being_judged_together(bundle: Bundle) -> None:
    with InspectorPool({"a": Assignment(bundle), "b": Assignment(bundle)}, _onnx) as inspector:
        assert not inspector.gains_from_batches


def test_what_was_loaded_for_a_replacement_that_cannot_be_used_is_closed(bundle: Bundle) -> None:
    runtimes = iter([Candidate("onnx", "cpu"), Candidate("torch", "cpu")])
    with InspectorPool({"a": Assignment(bundle)}, lambda _: next(runtimes)) as inspector:
        before = inspector.runtimes
        with pytest.raises(PcedgeError, match="threshold"):
            inspector.replace("a", Assignment(bundle, threshold=float("nan")))

        assert inspector.runtimes == before
        assert inspector.inspect([_frame("a", 1)])[0].verdict is not Verdict.INVALID


def test_a_defect_behind_the_mask_is_ignored(bundle: Bundle) -> None:
    frame = _frame("a", 901, "missing_hole")
    assert frame.image_rgb is not None
    height, width = frame.image_rgb.shape[:2]
    everything: NDArray[np.uint8] = np.full((height, width), 255, np.uint8)
    everything[:20] = 0
    with InspectorPool({"a": Assignment(bundle)}, _onnx) as inspector:
        (seen,) = inspector.inspect([frame])
    with InspectorPool({"a": Assignment(bundle, mask_hw=everything)}, _onnx) as inspector:
        (masked,) = inspector.inspect([frame])

    assert seen.verdict is Verdict.NG
    assert seen.regions
    assert masked.verdict is Verdict.OK
    assert masked.score is not None


def test_a_mask_that_hides_every_patch_is_refused_since_every_part_would_be_ok(bundle: Bundle) -> None:
    mask = np.full((100, 100), 255, np.uint8)
    mask[0, 0] = 0
    line = InspectorPool({"a": Assignment(bundle, mask_hw=mask)}, _onnx)

    with pytest.raises(OptionError, match="leaves nothing to look at"), line:
        pytest.fail("opened")


def test_a_bundle_that_cannot_run_is_an_error_and_nothing_stays_open(bundle: Bundle) -> None:
    def refuse(_bundle: AnyBundle) -> Candidate:
        raise BundleError("does not verify")

    with (
        pytest.raises(BundleError, match="does not verify"),
        InspectorPool({"a": Assignment(bundle)}, refuse),
    ):
        pytest.fail("opened")


def test_a_bundle_replaced_on_disk_is_taken_over_and_one_that_does_not_verify_is_not(
    bundle: Bundle, tmp_path: Path
) -> None:
    def choose(candidate: AnyBundle) -> Candidate:
        if candidate.manifest.threshold.score == 123:
            raise BundleError("does not score like its reference")
        return Candidate("onnx", "cpu")

    def change(score: float) -> None:
        text = (place / "manifest.json").read_text()
        old = f'"score": {Bundle.open(place).manifest.threshold.score}'
        assert old in text
        put(text.replace(old, f'"score": {score}'))

    def put(text: str) -> None:
        """At once: a file that is seen half written would be one change more."""
        (place / "new").write_text(text)
        (place / "new").replace(place / "manifest.json")

    def until(there: Callable[[], object]) -> None:
        give_up_at = time.monotonic() + 60
        while not there():
            inspector.inspect([_frame("a", 1)])
            assert time.monotonic() < give_up_at

    place = tmp_path / "line"
    shutil.copytree(bundle.directory, place)
    problems: list[PcedgeError] = []
    reloaded: list[str] = []
    with (
        InspectorPool({"a": Assignment(Bundle.open(place))}, choose) as inspector,
        Reloader(
            inspector,
            {"a": place},
            on_reload=lambda camera, _: reloaded.append(camera),
            on_problem=problems.append,
            poll_s=0.05,
        ),
    ):
        (before,) = inspector.inspect([_frame("a", 1)])
        change(77.5)
        until(lambda: inspector.inspector("a").threshold == 77.5)
        change(123.0)
        until(lambda: problems)
        (after,) = inspector.inspect([_frame("a", 1)])
        put("{")
        until(lambda: len(problems) == 2)
        assert len(inspector.runtimes) == 1

    assert before.score == pytest.approx(after.score)
    assert after.threshold == 77.5
    assert reloaded == ["a"]
    assert "does not score like its reference" in str(problems[0])
    assert "damaged" in str(problems[1])
