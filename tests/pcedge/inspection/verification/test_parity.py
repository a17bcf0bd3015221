"""Parity: a runtime, a changed pixel rule, a changed bank or map is caught, and the stage is named."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.banks import Bank, RowSources
from pcedge.bundles.bundle import Bundle
from pcedge.bundles.manifest import Precision
from pcedge.core.preprocessing import Preprocessing
from pcedge.errors import RuntimeUnavailableError
from pcedge.export import Runtime
from pcedge.inspection.patchcore_detector import Inspector
from pcedge.inspection.verification.golden import GoldenFrame, read_golden
from pcedge.inspection.verification.parity import STAGES, Parity, StageError, measure_frame_ms, measure_parity
from pcedge.thresholds.verdict import Thresholds

MakeRuntime = Callable[..., Runtime]
Change = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@pytest.fixture
def bundle(tmp_path: Path, make_bundle: Callable[..., Bundle]) -> Bundle:
    return make_bundle(tmp_path / "part")


@pytest.fixture
def frames(bundle: Bundle) -> list[GoldenFrame]:
    return read_golden(bundle)


def _inspector(bundle: Bundle, runtime: Runtime, **changes: Any) -> Inspector:
    inspector = Inspector.of(bundle.manifest, runtime, bundle.open_bank())
    for name, value in changes.items():
        setattr(inspector, name, value)
    return inspector


def _failing(parity: Parity) -> list[str]:
    return [stage.stage for stage in parity.stages if not stage.holds]


def _shifted(by: float) -> Change:
    return lambda embeddings: (embeddings * (1 + by)).astype(np.float32)


def _one_value(value: float) -> Change:
    def change(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        embeddings[0, 3, 2] = value
        return embeddings

    return change


@pytest.mark.parametrize("change", [_shifted(0), _shifted(1e-7)])
def test_an_equal_runtime_holds_at_every_stage(
    bundle: Bundle, frames: list[GoldenFrame], make_runtime: MakeRuntime, change: Change
) -> None:
    parity = measure_parity(_inspector(bundle, make_runtime(change)), frames)

    assert parity.holds
    assert tuple(stage.stage for stage in parity.stages) == STAGES
    assert parity.rows_changed == 0
    assert (parity.runtime, parity.frames, parity.flips) == ("blocks", 4, 0)
    assert parity.failure() == ""


@pytest.mark.parametrize(
    "change", [_shifted(0.05), _one_value(np.nan), _one_value(np.inf), _one_value(30), _one_value(-30)]
)
def test_another_network_is_caught_at_the_embedding(
    bundle: Bundle, frames: list[GoldenFrame], make_runtime: MakeRuntime, change: Change
) -> None:
    parity = measure_parity(_inspector(bundle, make_runtime(change)), frames)

    assert not parity.holds
    assert _failing(parity) == ["embedding", "score"]
    assert parity.failure().startswith("the embedding differs")


class _Swapped(Preprocessing):
    """Red and blue exchanged, as OpenCV reads images."""

    def apply(self, image_rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        return super().apply(np.ascontiguousarray(image_rgb[:, :, ::-1]))


class _PlainlyResized(Preprocessing):
    """Resized without antialiasing, as OpenCV's default does."""

    def apply(self, image_rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        size = (self.image_size, self.image_size)
        return super().apply(
            np.asarray(cv2.resize(image_rgb, size, interpolation=cv2.INTER_LINEAR), np.uint8)
        )


@pytest.mark.parametrize(
    "changed",
    [
        _Swapped(image_size=32),
        _PlainlyResized(image_size=32),
        Preprocessing(image_size=40, crop=32),
    ],
    ids=["BGR", "plain resize", "a crop that was not there"],
)
def test_a_changed_pixel_rule_is_caught_at_the_preprocessing(
    bundle: Bundle, frames: list[GoldenFrame], make_runtime: MakeRuntime, changed: Preprocessing
) -> None:
    parity = measure_parity(_inspector(bundle, make_runtime(), preprocessing=changed), frames)

    assert not parity.holds
    assert _failing(parity)[0] == "preprocessing"
    # Every other stage got the reference's input, so the fault is not blamed on it.
    assert {"embedding", "search", "map"}.isdisjoint(_failing(parity))
    assert parity.failure().startswith("the preprocessing differs by")


def test_another_bank_is_caught_at_the_search(
    bundle: Bundle, frames: list[GoldenFrame], make_runtime: MakeRuntime
) -> None:
    rows = bundle.open_bank().rows
    unnamed = np.zeros(len(rows) // 2, np.int32)
    half = Bank.build(rows[::2], RowSources((), unnamed, unnamed, unnamed))

    parity = measure_parity(_inspector(bundle, make_runtime(), bank=half), frames)

    assert not parity.holds
    assert _failing(parity)[0] == "search"
    assert parity.rows_changed > 0


def test_another_map_is_caught_at_the_map(
    bundle: Bundle, frames: list[GoldenFrame], make_runtime: MakeRuntime
) -> None:
    doubled = [replace(frame, score_map=frame.score_map * 2) for frame in frames]

    parity = measure_parity(_inspector(bundle, make_runtime()), doubled)

    assert _failing(parity) == ["map"]


def test_a_changed_verdict_breaks_parity_however_small_the_difference(
    tmp_path: Path, make_bundle: Callable[..., Bundle], make_runtime: MakeRuntime, frames: list[GoldenFrame]
) -> None:
    highest = max(frame.stages.score for frame in frames)
    bundle = make_bundle(tmp_path / "edge")
    inspector = _inspector(bundle, make_runtime(_shifted(1e-5)), thresholds=Thresholds(highest))

    parity = measure_parity(inspector, frames)

    assert _failing(parity) == []
    assert parity.flips > 0
    assert not parity.holds
    assert "verdicts change" in parity.failure()


def test_no_golden_frames_prove_nothing(bundle: Bundle, make_runtime: MakeRuntime) -> None:
    inspector = _inspector(bundle, make_runtime())
    parity = measure_parity(inspector, [])

    assert not parity.holds
    assert "no golden frame" in parity.failure()
    with pytest.raises(ValueError, match="no frames"):
        measure_frame_ms(inspector, [])


def test_another_row_at_the_same_distance_is_no_change(
    bundle: Bundle, frames: list[GoldenFrame], make_runtime: MakeRuntime
) -> None:
    rows = bundle.open_bank().rows[::-1]
    unnamed = np.zeros(len(rows), np.int32)
    backwards = Bank.build(rows, RowSources((), unnamed, unnamed, unnamed))

    parity = measure_parity(_inspector(bundle, make_runtime(), bank=backwards), frames)

    assert parity.holds
    assert parity.rows_changed == 0


class _OneSize:
    """A runtime that takes one size only, as an exported network does."""

    name = "one size"

    def __init__(self, runtime: Runtime, size: int) -> None:
        self._runtime, self._size = runtime, size

    def infer(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        if images.shape[2] != self._size:
            raise RuntimeUnavailableError("wrong size")
        return self._runtime.infer(images)

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *_: object) -> None:
        return None


@pytest.mark.parametrize(
    ("network_size", "failing"),
    [(32, ["preprocessing", "map", "score"]), (48, ["preprocessing", "embedding", "map", "score"])],
)
def test_another_input_size_is_reported_and_not_raised(
    bundle: Bundle,
    frames: list[GoldenFrame],
    make_runtime: MakeRuntime,
    network_size: int,
    failing: list[str],
) -> None:
    runtime = _OneSize(make_runtime(), network_size)
    parity = measure_parity(_inspector(bundle, runtime, preprocessing=Preprocessing(image_size=48)), frames)

    assert _failing(parity) == failing
    assert [parity.stage(stage).largest for stage in failing] == [None] * len(failing)
    assert parity.failure().startswith("the preprocessing differs: it has another shape")
    assert msgspec.json.decode(msgspec.json.encode(parity), type=Parity) == parity


def test_another_grid_is_caught_at_the_map(
    bundle: Bundle, frames: list[GoldenFrame], make_runtime: MakeRuntime
) -> None:
    assert _failing(measure_parity(_inspector(bundle, make_runtime(), grid_hw=(5, 4)), frames)) == ["map"]


def test_a_network_that_cannot_be_run_is_an_error_and_no_difference(
    bundle: Bundle, frames: list[GoldenFrame], make_runtime: MakeRuntime
) -> None:
    with pytest.raises(RuntimeUnavailableError, match="wrong size"):
        measure_parity(_inspector(bundle, _OneSize(make_runtime(), 48)), frames)


_PROVED = {
    "runtime": "onnxruntime (CPU)",
    "stages": [{"stage": stage, "largest": 1e-6, "mean": 1e-7, "scale": 1.0} for stage in STAGES],
    "rows_changed": 0,
    "flips": 0,
    "frames": 4,
}


def _read(**changes: Any) -> Parity:
    return msgspec.convert(_PROVED | changes, Parity)


def _with_last(**changes: Any) -> list[dict[str, Any]]:
    *others, last = msgspec.to_builtins(_read().stages)
    return [*others, last | changes]


def test_what_was_proved_still_holds_when_read_again() -> None:
    assert _read().holds


@pytest.mark.parametrize(
    "changes",
    [
        {"stages": []},
        {"stages": _with_last()[:-1]},
        {"stages": _with_last()[::-1]},
        {"stages": [*_with_last(), *_with_last()]},
        {"stages": _with_last(stage="another")},
        {"stages": _with_last(largest=0.5, tolerance=1.0)},
        {"stages": _with_last(largest=-1.0)},
        {"stages": _with_last(largest=None)},
        {"stages": _with_last(tolerance=1e-7)},
        {"frames": 0},
        {"frames": -4},
        {"flips": 1},
        {"flips": -1},
    ],
)
def test_a_file_cannot_say_that_less_is_enough(changes: dict[str, Any]) -> None:
    parity = _read(**changes)

    assert not parity.holds
    assert parity.failure() != ""


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_a_number_survives_json_and_does_not_hold(
    bundle: Bundle, frames: list[GoldenFrame], make_runtime: MakeRuntime, value: float
) -> None:
    parity = measure_parity(_inspector(bundle, make_runtime(_one_value(value))), frames)

    again = msgspec.json.decode(msgspec.json.encode(parity), type=Parity)

    assert again == parity
    assert again.stage("embedding").largest is None
    assert not again.holds


def test_an_error_at_the_tolerance_is_accepted_and_one_above_is_not() -> None:
    at = StageError(stage="map", largest=1e-4, mean=0.0, scale=1.0)
    assert at.holds
    assert not msgspec.structs.replace(at, largest=1.01e-4).holds


@pytest.mark.parametrize(
    ("stage", "precision", "largest", "holds"),
    [
        ("embedding", "fp32", 2e-4, False),
        ("embedding", "fp16", 2e-4, True),
        ("embedding", "fp16", 2e-2, False),
        ("embedding", "int8", 2e-2, True),
        ("score", "int8", 2e-2, True),
        ("score", "int8", 6e-2, False),
        # What is given the reference's input does not pass the network: nothing excuses it.
        ("search", "int8", 2e-4, False),
        ("preprocessing", "int8", 2e-4, False),
        ("map", "int8", 2e-4, False),
    ],
)
def test_less_than_float32_may_round_where_its_network_is_passed(
    stage: str, precision: Precision, largest: float, holds: bool
) -> None:
    error = StageError(stage=stage, largest=largest, mean=0.0, scale=1.0, tolerance=1.0, precision=precision)
    assert error.holds is holds


def test_stages_of_one_precision_do_not_prove_another() -> None:
    stages = tuple(StageError(stage=stage, largest=0.0, mean=0.0, scale=1.0) for stage in STAGES)
    parity = Parity(runtime="onnx", stages=stages, rows_changed=0, flips=0, frames=4, precision="int8")
    assert not parity.holds
    assert parity.failure() == "not every stage was compared"


def test_a_frame_takes_time(bundle: Bundle, frames: list[GoldenFrame], make_runtime: MakeRuntime) -> None:
    assert 0 < measure_frame_ms(_inspector(bundle, make_runtime()), frames) < 60_000
