import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.camera import (
    FrameGate,
    glance,
    learn_limits,
    learn_usual_limits,
    list_images,
    read_image,
    render_part,
)


def _noisy(mean: float, sigma: float, size: int = 64) -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).normal(mean, sigma, (size, size, 3))
    return np.clip(np.rint(noise), 0, 255).astype(np.uint8)


def _with_lit_corner() -> NDArray[np.uint8]:
    image = _noisy(0, 1, 256)
    image[:16, :16] = 200
    return image


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (render_part(1, "good", 128).image_rgb, ""),
        (_noisy(12, 3), ""),
        (_noisy(240, 8), ""),
        (_with_lit_corner(), ""),
        (np.zeros((64, 64, 3), np.uint8), "black"),
        (_noisy(1, 1.5), "black"),
        (_noisy(254, 2), "overexposed"),
        (np.full((64, 64, 3), 128, np.uint8), "blank"),
        (np.full((64, 64, 3), (0, 0, 255), np.uint8), "blank"),
        (_noisy(128, 0.6), "blank"),
        (np.zeros((64, 64), np.uint8), "not an RGB image"),
        (np.zeros((64, 64, 4), np.uint8), "not an RGB image"),
        (np.zeros((64, 64, 3), np.float32), "not an RGB image"),
        (_noisy(128, 30, 15), "too small: 15 x 15"),
        (np.zeros((0, 64, 3), np.uint8), "too small"),
    ],
)
def test_only_pictures_without_content_are_turned_away(image: NDArray[np.uint8], reason: str) -> None:
    said = FrameGate().check(image)

    assert said.startswith(reason)
    assert bool(said) == bool(reason)


def test_a_picture_repeated_too_often_is_frozen_until_it_changes() -> None:
    gate, image = FrameGate(frozen_after=3), _noisy(128, 30)
    changed = image.copy()
    # Not among the pixels that a quick look would compare on a large image.
    changed[33, 33, 1] ^= 1

    said = [gate.check(image.copy()) for _ in range(5)]

    assert [bool(text) for text in said] == [False, False, False, True, True]
    assert said[3] == "frozen: the same image 4 times in a row"
    assert gate.check(changed) == ""


@pytest.mark.parametrize("turns", [2, 3])
def test_a_few_pictures_that_take_turns_for_ever_are_frozen(turns: int) -> None:
    gate, images = FrameGate(frozen_after=3), [_noisy(100 + 10 * number, 30) for number in range(6)]

    said = [gate.check(images[number]) for number in (4, 5, *[number % turns for number in range(20)])]

    assert said.index(next(filter(None, said))) == 2 + turns + 3 * turns - 1
    assert "the same few images" in said[-1]
    assert gate.check(images[3]) == ""


def test_pictures_that_may_repeat_are_not_frozen() -> None:
    gate, image = FrameGate(frozen_after=3), _noisy(128, 30)

    assert [gate.check(image, may_repeat=True) for _ in range(10)] == [""] * 10


def test_one_changed_pixel_anywhere_is_not_frozen() -> None:
    gate, image = FrameGate(frozen_after=1), _noisy(128, 30, 1024)
    gate.check(image)
    changed = image.copy()
    changed[1, 3, 2] ^= 1

    assert gate.check(changed) == ""


def test_zero_does_not_look_for_frozen_pictures() -> None:
    gate, image = FrameGate(frozen_after=0), _noisy(128, 30)

    assert [gate.check(image) for _ in range(40)] == [""] * 40


def test_a_picture_of_another_size_is_not_frozen() -> None:
    gate = FrameGate(frozen_after=1)

    assert [gate.check(_noisy(128, 30, size)) for size in (64, 32, 64)] == [""] * 3


def _least_s(call: Callable[[int], object]) -> float:
    """Processor time of one call: the least of ten, which a busy machine changes little."""
    taken = []
    for number in range(10):
        began = time.thread_time()
        call(number)
        taken.append(time.thread_time() - began)
    return min(taken)


def test_a_large_picture_is_checked_in_less_than_it_takes_to_look_at_all_of_it() -> None:
    gate, images = FrameGate(), [_noisy(mean, 30, 2048) for mean in (120, 121)]

    checked_s = _least_s(lambda number: gate.check(images[number % 2]))

    assert checked_s < _least_s(lambda number: images[number % 2].std())


def _scene(seed: int, shift: int = 0, size: int = 200) -> NDArray[np.uint8]:
    """A fixed scene, smooth as through a lens, with another noise each time."""
    fixed = np.random.default_rng(7).normal(0, 400, (size, size + 60))
    image = 110 + cv2.GaussianBlur(fixed, (0, 0), 2.5)[:, 30 + shift : 30 + shift + size]
    noisy = image + np.random.default_rng(seed).normal(0, 1.5, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)[:, :, None].repeat(3, axis=2)


def _changed(image: NDArray[np.uint8], rows: slice, value: float) -> NDArray[np.uint8]:
    image[rows] = value
    return image


LIMITS, _ = learn_limits(_scene(seed) for seed in range(20))


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (_scene(99), ""),
        (_scene(99, shift=3), ""),
        (_scene(99) // 3, "too dark: mean 3"),
        (np.clip(_scene(99).astype(int) + 60, 0, 255).astype(np.uint8), "too bright: mean 1"),
        (_changed(_scene(99), slice(0, 80), 252), "too bright"),
        (_changed(_scene(99), slice(150, 200), 110), "torn: 25% of the rows are empty"),
        (np.concatenate([_scene(1)[:90], _scene(2, shift=25)[90:]]), "torn: a break of "),
        (cv2.GaussianBlur(_scene(99), (0, 0), 5), "blurred: "),
        (_scene(99, shift=25), "the camera has moved: by 12"),
        (_scene(99)[:150], "wrong size: 200 x 150, learned from images of 200 x 200"),
        (cv2.resize(_scene(99), (90, 90)), "wrong size: 90 x 90"),
        (cv2.resize(_scene(99), (240, 240)), ""),
    ],
)
def test_what_no_nominal_picture_looks_like_is_turned_away(image: NDArray[np.uint8], reason: str) -> None:
    said = FrameGate(LIMITS).check(np.ascontiguousarray(image))

    assert said.startswith(reason), said
    assert bool(said) == bool(reason)


def test_the_fewer_pictures_the_wider_the_limits() -> None:
    few, _ = learn_limits(_scene(seed) for seed in range(2))

    assert few.brightness[0] < LIMITS.brightness[0] < LIMITS.brightness[1] < few.brightness[1]
    assert few.sharpness < LIMITS.sharpness
    assert few.row_break > LIMITS.row_break


def test_pictures_of_many_sizes_or_places_teach_nothing_of_size_or_place() -> None:
    sizes, _ = learn_limits(_scene(seed, size=150 + seed) for seed in range(5))
    places, _ = learn_limits(_scene(seed, shift=5 * seed - 25) for seed in range(10))

    assert (sizes.size_wh, sizes.reference_hw) == (None, None)
    assert places.reference_hw is None
    assert FrameGate(places).check(_scene(99, shift=29)) == ""


@pytest.mark.shared
@pytest.mark.parametrize("name", ["mvtec/bottle", "magnetic_tile"])
def test_no_real_picture_good_or_defective_is_turned_away(shared: Path, name: str) -> None:
    data = shared / "data" / name
    limits, _ = learn_limits(read_image(path) for path in list_images(data / "train" / "good")[::3])
    gate = FrameGate(limits, frozen_after=0)

    folders = [folder for folder in (data / "test").iterdir() if folder.is_dir()]
    away = [
        reason
        for folder in folders
        for path in list_images(folder)[:20]
        if (reason := gate.check(read_image(path)))
    ]

    assert len(folders) >= 4
    assert away == []


def test_limits_are_learned_from_the_usual_pictures_and_the_others_are_named() -> None:
    usual = [_scene(seed) for seed in range(20)]
    odd = [
        (_scene(50) // 3, "too dark: mean 3"),
        (cv2.GaussianBlur(_scene(51), (0, 0), 5), "blurred: "),
        (_scene(52, shift=25), "the camera has moved: by 12"),
        (_scene(53)[:150], "wrong size: 200 x 150, most are 200 x 200"),
        (render_part(3, size=200).image_rgb, "it shows another scene"),
    ]
    pictures = [*usual[:10], *(np.ascontiguousarray(image) for image, _ in odd), *usual[10:]]

    limits, nominal, found = learn_usual_limits([glance(image) for image in pictures])

    assert sorted(found) == list(range(10, 15))
    assert all(found[10 + number].startswith(reason) for number, (_, reason) in enumerate(odd)), found
    assert limits.brightness == pytest.approx(LIMITS.brightness, abs=3)
    assert limits.shift == pytest.approx(LIMITS.shift, abs=0.01)
    assert len(nominal.measures) == len(nominal.offsets_xy or ()) == 20
    assert FrameGate(limits, frozen_after=0).check(_scene(99)) == ""


def test_what_is_known_to_be_fit_is_never_unlike_the_others() -> None:
    pictures = [*(_scene(seed) for seed in range(20)), _scene(99) // 3]
    glances = [glance(image) for image in pictures]

    limits, _, odd = learn_usual_limits(glances, trusted={20})

    assert odd == {}
    assert limits.brightness[0] < 37


@pytest.mark.shared
@pytest.mark.parametrize("name", ["mvtec/bottle", "magnetic_tile"])
def test_no_real_good_picture_is_unlike_the_others(shared: Path, name: str) -> None:
    paths = list_images(shared / "data" / name / "train" / "good")[::3]

    _, _, odd = learn_usual_limits([glance(read_image(path)) for path in paths])

    assert odd == {}
