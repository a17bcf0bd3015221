from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.bundles.bundle import Bundle
from pcedge.bundles.manifest import Manifest
from pcedge.camera import Verdict
from pcedge.errors import BundleError, OptionError
from pcedge.export import Runtime
from pcedge.inspection.patchcore_detector import Inspector
from pcedge.inspection.runtimes import open_runtime, runtime_kind
from pcedge.inspection.verification.golden import read_golden, with_fault

Pictures = list[NDArray[np.uint8]]
MakeRuntime = Callable[..., Runtime]


def _with(inspector: Inspector, *, threshold: float, runtime: Runtime | None = None) -> Inspector:
    return Inspector(
        runtime or inspector.runtime,
        inspector.bank,
        inspector.preprocessing,
        inspector.grid_hw,
        threshold=threshold,
        map_threshold=inspector.map_threshold,
    )


def test_a_picture_goes_through_every_stage(inspector: Inspector, pictures: Pictures) -> None:
    stages = inspector.stages(pictures[-1])

    embeddings = inspector.runtime.infer(inspector.preprocessing.apply(pictures[-1])[np.newaxis])[0]
    squared = np.square(embeddings[:, None] - inspector.bank.rows[None]).sum(axis=2)
    np.testing.assert_array_equal(stages.embeddings, embeddings)
    np.testing.assert_allclose(stages.squared_distances, squared.min(axis=1), rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(stages.rows, squared.argmin(axis=1))
    assert stages.score == stages.squared_distances.max()
    assert inspector.score_map(stages).shape == (32, 32)


@pytest.mark.parametrize(("factor", "verdict"), [(0.999, "NG"), (1.0, "OK"), (1.001, "OK")])
def test_only_a_score_above_the_threshold_is_ng(
    inspector: Inspector, pictures: Pictures, factor: float, verdict: str
) -> None:
    score = inspector.stages(pictures[-1]).score

    inspection = _with(inspector, threshold=score * factor).inspect(pictures[-1])

    assert inspection.verdict.value == verdict
    assert (inspection.score, inspection.threshold) == (score, score * factor)
    assert inspection.map_threshold == inspector.map_threshold


def test_the_map_is_brought_back_onto_the_picture(inspector: Inspector, pictures: Pictures) -> None:
    picture = np.array(pictures[-1])
    picture[30:42, 52:64] = 255  # centre at x = 57.5, y = 35.5 of 90 x 90

    inspection = inspector.inspect(picture)

    assert inspection.score_map_hw is not None
    assert inspection.map_to_picture is not None
    y, x = np.unravel_index(inspection.score_map_hw.argmax(), inspection.score_map_hw.shape)
    place = inspection.map_to_picture @ [float(x), float(y), 1.0]
    # Within half a patch, which is 22 pixels of the image.
    assert np.abs(place - [57.5, 35.5]).max() < 13


def _one_value(value: float) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    def change(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        embeddings[:, 3, 2] = value
        return embeddings

    return change


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_network_that_gives_no_numbers_makes_the_frame_invalid(
    inspector: Inspector, make_runtime: MakeRuntime, pictures: Pictures, value: float
) -> None:
    broken = _with(inspector, threshold=1e30, runtime=make_runtime(_one_value(value)))

    inspection = broken.inspect(pictures[0])

    assert inspection.verdict is Verdict.INVALID
    assert "not a finite number" in inspection.reason
    assert inspection.score is None


def test_golden_frames_come_back_as_the_reference_left_them(
    tmp_path: Path, make_bundle: Callable[..., Bundle], inspector: Inspector, pictures: Pictures
) -> None:
    bundle = make_bundle(tmp_path / "part")

    frames = read_golden(Bundle.open(bundle.directory))

    assert [frame.name for frame in frames] == ["highest", "lowest", "median", "median-with-noise"]
    for frame, picture in zip(frames, pictures[-3:], strict=False):
        np.testing.assert_array_equal(frame.image_rgb, picture)
    for frame in frames:
        expected = inspector.stages(frame.image_rgb)
        for name in ("network_input", "embeddings", "squared_distances", "rows", "score"):
            np.testing.assert_array_equal(getattr(frame.stages, name), getattr(expected, name))


@pytest.mark.parametrize("shape", [(90, 90, 3), (16, 200, 3), (33, 17, 3)])
def test_the_golden_fault_is_a_square_of_noise_in_the_middle(shape: tuple[int, int, int]) -> None:
    picture = np.full(shape, 100, np.uint8)

    first, second = (with_fault({"only": picture}, seed=4) for _ in range(2))

    noisy = first["only-with-noise"]
    np.testing.assert_array_equal(noisy, second["only-with-noise"])
    assert (picture == 100).all()
    changed = np.argwhere((noisy != picture).any(axis=2))
    centre = (changed.min(axis=0) + changed.max(axis=0)) / 2
    assert np.abs(centre - (np.array(shape[:2]) - 1) / 2).max() <= 1
    assert np.ptp(changed, axis=0).tolist() == [max(8, min(shape[:2]) // 8) - 1] * 2


def test_a_bundle_that_was_not_exported_says_how_to_export_it(
    tmp_path: Path, make_bundle: Callable[..., Bundle]
) -> None:
    bundle = make_bundle(tmp_path / "part")

    with pytest.raises(BundleError, match=r"(?s)not been exported.*pcedge export"):
        open_runtime(bundle)


@pytest.mark.parametrize("name", ["trt", "", "ONNX"])
def test_an_unknown_runtime_is_an_error_that_lists_them(name: str) -> None:
    with pytest.raises(OptionError, match="auto, onnx, tensorrt, tensorrt-rtx, torch"):
        runtime_kind(name)


def test_a_verdict_says_how_unusual_its_score_is(
    inspector: Inspector, manifest: Manifest, pictures: Pictures
) -> None:
    score = inspector.stages(pictures[-1]).score
    held = {"a": score * 0.5, "b": score * 0.5, "c": score * 2, "d": score * 0.1}

    def p_value(held_out: dict[str, float], groups: dict[str, str]) -> float | None:
        limits = msgspec.structs.replace(manifest.threshold, held_out=held_out, groups=groups)
        judged = Inspector.of(
            msgspec.structs.replace(manifest, threshold=limits), inspector.runtime, inspector.bank
        )
        return judged.inspect(pictures[-1]).p_value

    assert p_value(held, {}) == pytest.approx(2 / 5)
    assert p_value(held, {"a": "x", "b": "x", "c": "x", "d": "y"}) == pytest.approx((1 + 1 / 3) / 3)
    assert p_value({}, {}) is None
    assert inspector.inspect(pictures[-1]).p_value is None


def test_what_cannot_be_judged_has_no_p_value(
    inspector: Inspector, manifest: Manifest, make_runtime: MakeRuntime, pictures: Pictures
) -> None:
    broken = Inspector.of(manifest, make_runtime(_one_value(np.nan)), inspector.bank)

    assert broken.inspect(pictures[-1]).p_value is None
