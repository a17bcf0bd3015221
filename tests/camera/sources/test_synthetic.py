import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.camera import (
    DEFECT_KINDS,
    Frame,
    NoFrame,
    RenderedPart,
    Source,
    SyntheticCamera,
    render_part,
    write_dataset,
)
from pcedge.errors import OptionError

SIZE = 192
SEEDS = range(4)


def change(one: RenderedPart, other: RenderedPart) -> NDArray[np.int16]:
    difference = one.image_rgb.astype(np.int16) - other.image_rgb
    return np.asarray(np.abs(difference).max(axis=2), np.int16)


def film(camera: SyntheticCamera, timeout_s: float = 0.0) -> list[Frame]:
    frames: list[Frame] = []
    with camera:
        while (got := camera.read(timeout_s)) is not NoFrame.END:
            if isinstance(got, Frame):
                frames.append(got)
    return frames


@pytest.mark.parametrize("kind", ["good", *DEFECT_KINDS])
def test_same_seed_same_bytes(kind: str) -> None:
    first, second = render_part(3, kind, SIZE), render_part(3, kind, SIZE)
    assert first.image_rgb.tobytes() == second.image_rgb.tobytes()
    assert first.mask_hw.tobytes() == second.mask_hw.tobytes()
    assert first.kind == kind


@pytest.mark.parametrize("kind", ["good", *DEFECT_KINDS])
def test_picture_and_mask_have_the_documented_form(kind: str) -> None:
    part = render_part(0, kind, 100)
    assert part.image_rgb.shape == (100, 100, 3)
    assert part.image_rgb.dtype == np.dtype(np.uint8)
    assert part.mask_hw.shape == (100, 100)
    assert part.mask_hw.dtype == np.dtype(np.bool_)


def test_a_good_part_has_an_empty_mask() -> None:
    assert not render_part(0, size=SIZE).mask_hw.any()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", DEFECT_KINDS)
def test_mask_is_where_the_defect_shows(kind: str, seed: int) -> None:
    part, good = render_part(seed, kind, SIZE), render_part(seed, size=SIZE)
    changed = change(part, good)
    # Same part, same sensor noise: outside the mask at most the invisible rest of the defect.
    assert changed[~part.mask_hw].max() <= 10
    assert (changed[part.mask_hw] > 8).mean() > 0.6
    assert 0.0005 < part.mask_hw.mean() < 0.035


@pytest.mark.parametrize("kind", DEFECT_KINDS)
def test_defects_differ_in_place(kind: str) -> None:
    masks = [render_part(seed, kind, SIZE).mask_hw for seed in SEEDS]
    overlap = np.logical_and.reduce(masks).sum() / np.logical_or.reduce(masks).sum()
    assert overlap < 0.05


def test_kinds_do_not_look_alike() -> None:
    pictures = {render_part(1, kind, SIZE).image_rgb.tobytes() for kind in DEFECT_KINDS}
    assert len(pictures) == len(DEFECT_KINDS)


def test_good_parts_vary_but_stay_in_the_fixture() -> None:
    good = [render_part(seed, size=SIZE) for seed in range(8)]
    assert change(good[0], good[1]).mean() > 3

    def metal(part: RenderedPart) -> tuple[float, float, float]:
        bright = cv2.GaussianBlur(part.image_rgb[..., 1], (0, 0), 2) > 90
        rows, columns = np.nonzero(bright)
        return rows.mean() / SIZE, columns.mean() / SIZE, bright.mean()

    rows, columns, areas = np.array([metal(part) for part in good]).T
    assert np.abs(rows - 0.5).max() < 0.03
    assert np.abs(columns - 0.5).max() < 0.03
    assert rows.std() > 0.003
    assert columns.std() > 0.003
    assert areas.min() > 0.3
    assert np.ptp(areas) < 0.08
    assert 2 < np.ptp([part.image_rgb.mean() for part in good]) < 30


def test_no_part_of_a_good_picture_is_far_from_all_others() -> None:
    """Sixty good parts must be enough to learn the variation from."""
    good = [cv2.resize(render_part(seed, size=SIZE).image_rgb, (24, 24)) for seed in range(21)]
    bank = np.array(good[1:], np.int16)
    nearest = np.abs(bank - good[0].astype(np.int16)).mean(axis=(1, 2, 3)).min()
    assert nearest < 20


def test_size_changes_the_scale_and_not_the_part() -> None:
    small = render_part(2, "missing_hole", 128).image_rgb
    large = cv2.resize(
        render_part(2, "missing_hole", 256).image_rgb, (128, 128), interpolation=cv2.INTER_AREA
    )
    assert np.abs(small.astype(np.int16) - large).mean() < 6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"kind": "crack"}, "missing_hole"),
        ({"size": 8}, "64"),
        ({"seed": -1}, "0 or more"),
    ],
)
def test_impossible_parts_are_refused(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        render_part(**{"seed": 0, **arguments})  # type: ignore[arg-type]


def test_dataset_has_the_mvtec_layout(tmp_path: Path) -> None:
    written: list[None] = []
    write_dataset(
        tmp_path,
        train=3,
        test_good=2,
        per_defect=2,
        size=96,
        on_image=lambda: written.append(None),
    )
    expected = {f"train/good/{index:03d}.png" for index in range(3)}
    expected |= {f"test/good/{index:03d}.png" for index in range(2)}
    for kind in DEFECT_KINDS:
        expected |= {f"test/{kind}/{index:03d}.png" for index in range(2)}
        expected |= {f"ground_truth/{kind}/{index:03d}_mask.png" for index in range(2)}
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")}
    assert found == expected
    assert len(written) == 3 + 2 + 2 * len(DEFECT_KINDS)
    pictures = [path.read_bytes() for path in tmp_path.glob("t*/*/*.png")]
    assert len(set(pictures)) == len(pictures)


def test_dataset_holds_what_was_rendered(tmp_path: Path) -> None:
    write_dataset(tmp_path, train=1, test_good=0, per_defect=1, size=96, seed=5)
    picture = cv2.imread(str(tmp_path / "train/good/000.png"))
    assert picture is not None
    np.testing.assert_array_equal(picture[..., ::-1], render_part(5_000_000, size=96).image_rgb)
    mask = cv2.imread(str(tmp_path / "ground_truth/chip/000_mask.png"), cv2.IMREAD_UNCHANGED)
    assert mask is not None
    assert mask.shape == (96, 96)
    assert set(np.unique(mask)) == {0, 255}


def test_camera_is_a_source() -> None:
    camera: Source = SyntheticCamera()
    assert (camera.name, camera.live) == ("synthetic", False)
    assert SyntheticCamera(fps=5).live


def test_camera_gives_the_frames_asked_for_and_names_the_truth() -> None:
    frames = film(SyntheticCamera(frames=24, defect_rate=0.5, size=64))
    assert [frame.index for frame in frames] == list(range(24))
    kinds = []
    for frame in frames:
        word, number, kind = frame.name.split("-")
        assert (word, number) == ("part", f"{frame.index:06d}")
        kinds.append(kind)
    assert set(kinds) <= {"good", *DEFECT_KINDS}
    assert 6 <= kinds.count("good") <= 18
    assert len(set(kinds)) >= 4


def test_camera_is_deterministic_and_starts_over() -> None:
    def story(frames: list[Frame]) -> list[tuple[str, bytes]]:
        return [(frame.name, np.asarray(frame.image_rgb).tobytes()) for frame in frames]

    camera = SyntheticCamera(frames=5, seed=4, size=64)
    first = story(film(camera))
    assert story(film(camera)) == first
    assert story(film(SyntheticCamera(frames=5, seed=9, size=64))) != first
    assert len({picture for _, picture in first}) == 5


@pytest.mark.parametrize(("rate", "good"), [(0.0, True), (1.0, False)])
def test_defect_rate(rate: float, good: bool) -> None:
    frames = film(SyntheticCamera(frames=6, defect_rate=rate, size=64))
    assert all(frame.name.endswith("good") == good for frame in frames)


def test_live_camera_is_paced_and_says_when_nothing_is_due() -> None:
    with SyntheticCamera(fps=20, frames=5, size=64) as camera:
        started = time.monotonic()
        assert isinstance(camera.read(1.0), Frame)
        assert camera.read(0.0) is NoFrame.YET
        for _ in range(4):
            assert isinstance(camera.read(1.0), Frame)
        assert time.monotonic() - started >= 4 / 20 - 0.01
        assert camera.read(1.0) is NoFrame.END


@pytest.mark.parametrize(
    "arguments", [{"fps": 0.0}, {"fps": float("nan")}, {"defect_rate": 1.5}, {"seed": -2}]
)
def test_impossible_cameras_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        SyntheticCamera(**arguments)  # type: ignore[arg-type]
