"""Copies of an image count as one: found however they were saved, turned or lit; different parts are none."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from pcedge.camera import read_image, render_part
from pcedge.datasets import spectrum
from pcedge.errors import OptionError
from pcedge.thresholds.dependence import dependent, joined, near_in_features, with_dependent
from pcedge.thresholds.groups import find_groups

Change = Callable[[Image.Image], Image.Image]


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def _noisy(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image, np.float32)
    noise = np.random.default_rng(0).normal(0, 3, pixels.shape)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


_CHANGES: dict[str, Change] = {
    "same": lambda image: image,
    "saved anew": lambda image: _jpeg(image, 75),
    "smaller": lambda image: image.resize((image.width // 2, image.height // 2)),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "turned": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "taken again": _noisy,
}


@pytest.fixture(scope="module")
def parts() -> list[Image.Image]:
    return [Image.fromarray(render_part(seed, size=160).image_rgb) for seed in range(40)]


def _looks(images: list[Image.Image]) -> NDArray[np.float32]:
    return np.stack([spectrum(np.asarray(image)) for image in images])


def test_different_parts_are_no_copies(parts: list[Image.Image]) -> None:
    assert dependent(_looks(parts)) == ()


@pytest.mark.parametrize("change", _CHANGES)
def test_a_copy_is_found_however_it_was_made(parts: list[Image.Image], change: str) -> None:
    copies = [_CHANGES[change](parts[number]) for number in (3, 7, 11)]

    assert dependent(_looks([*parts, *copies])) == ((3, 40), (7, 41), (11, 42))


@pytest.mark.parametrize("change", ["same", "saved anew", "mirrored"])
def test_copies_are_found_where_every_image_has_several(parts: list[Image.Image], change: str) -> None:
    few = parts[:20]
    images = [*few, *map(_CHANGES[change], few), *map(_CHANGES["saved anew"], few), *few]

    assert dependent(_looks(images)) == tuple((n, n + 20, n + 40, n + 60) for n in range(20))


def test_a_film_of_parts_that_lie_still_is_as_many_images_as_parts(parts: list[Image.Image]) -> None:
    images = [_noisy(part) if take else part for part in parts[:6] for take in range(9)]

    found = dependent(_looks(images))

    assert [len(group) for group in found] == [9] * 6


def test_two_kinds_of_parts_are_not_two_images(parts: list[Image.Image]) -> None:
    bright = [ImageEnhance.Color(part.rotate(90)).enhance(0.2) for part in parts[20:]]

    assert dependent(_looks([*parts[:20], *bright])) == ()


def test_two_images_are_copies_only_if_they_are_equal(parts: list[Image.Image]) -> None:
    assert dependent(_looks(parts[:2])) == ()
    assert dependent(_looks([parts[0], parts[0]])) == ((0, 1),)


def test_an_image_whose_patches_are_all_in_another_one_depends_on_it() -> None:
    rng = np.random.default_rng(1)
    patches = rng.normal(size=(30, 64, 12)).astype(np.float32)
    moved = np.roll(patches[:3].reshape(3, 8, 8, 12), 1, axis=1).reshape(3, 64, 12)
    moved += rng.normal(0, 0.05, moved.shape).astype(np.float32)

    found = near_in_features(np.concatenate([patches, moved]), np.arange(33))

    assert {tuple(sorted(pair)) for pair in found} == {(0, 30), (1, 31), (2, 32)}
    assert near_in_features(patches, np.arange(30)) == []


def test_groups_that_share_a_part_are_one() -> None:
    assert joined(5, [(3, 1), (1, 4)]) == [(0,), (1, 3, 4), (2,)]
    assert with_dependent(["a", "b", "c", "b", "d"], [(0, 1)]) == ("a", "a", "c", "a", "d")
    assert with_dependent(["x", "y"], []) == ("x", "y")


def test_each_image_may_be_said_to_count_by_itself() -> None:
    assert find_groups(["good/a.png", "good/b.png"], "each") == ("good/a.png", "good/b.png")
    with pytest.raises(OptionError, match="all 2 images"):
        find_groups(["good/a.png", "good/b.png"], "folder")


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "again"),
    [
        # One bottle that was photographed twice, and two tiles under two exposures each.
        ("mvtec/bottle", set()),
        ("magnetic_tile", {("exp4_num_338897", "exp5_num_338911"), ("exp5_num_37319", "exp6_num_37354")}),
    ],
)
def test_real_parts_that_differ_are_independent(shared: Path, name: str, again: set[tuple[str, ...]]) -> None:
    paths = sorted((shared / "data" / name / "train" / "good").iterdir())

    found = dependent(np.stack([spectrum(read_image(path)) for path in paths]))

    assert {tuple(paths[image].stem for image in group) for group in found} == again
