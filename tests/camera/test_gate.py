import time

import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.camera import FrameGate, render_part


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
        (np.zeros((64, 64), np.uint8), "not an RGB picture"),
        (np.zeros((64, 64, 4), np.uint8), "not an RGB picture"),
        (np.zeros((64, 64, 3), np.float32), "not an RGB picture"),
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
    # Not among the pixels that a quick look would compare on a large picture.
    changed[33, 33, 1] ^= 1

    said = [gate.check(image.copy()) for _ in range(5)]

    assert [bool(text) for text in said] == [False, False, False, True, True]
    assert said[3] == "frozen: the same picture 4 times in a row"
    assert gate.check(changed) == ""


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


def test_a_large_picture_is_checked_in_a_few_milliseconds() -> None:
    gate, images = FrameGate(), [_noisy(mean, 30, 2048) for mean in (120, 121)]
    gate.check(images[0])

    began = time.perf_counter()
    for number in range(10):
        assert gate.check(images[1 - number % 2]) == ""

    assert (time.perf_counter() - began) / 10 < 0.03
