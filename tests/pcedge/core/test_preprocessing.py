from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from torchvision import transforms

from pcedge.core.preprocessing import IMAGENET_MEAN, IMAGENET_STD, PRESETS, Preprocessing
from pcedge.errors import OptionError

RNG = np.random.default_rng(0)
# Odd, landscape, portrait, square, smaller than the input, and with .5 in every rounding.
SIZES_WH = [(700, 525), (525, 700), (301, 997), (997, 301), (256, 256), (900, 900), (31, 57)]
CROPPING = ["official-224", "official-320"]


def _fine_texture(width: int, height: int) -> NDArray[np.uint8]:
    return RNG.integers(0, 256, (height, width, 3), np.uint8)


def _torchvision(size: Any, crop: int) -> transforms.Compose:
    """The reference implementation's transform, on Pillow images."""
    return transforms.Compose(
        [
            transforms.Resize(size),
            transforms.CenterCrop(crop),
            transforms.ToTensor(),
        ]
    )


@pytest.mark.parametrize("size_wh", SIZES_WH)
@pytest.mark.parametrize("preset", PRESETS)
def test_a_picture_becomes_what_the_reference_makes_of_it(size_wh: tuple[int, int], preset: str) -> None:
    preprocessing = PRESETS[preset]
    image = _fine_texture(*size_wh)
    size = preprocessing.image_size
    resize = _torchvision((size, size) if preset == "whole" else size, preprocessing.input_size)
    normalise = transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)
    expected = normalise(resize(Image.fromarray(image))).numpy()

    found = preprocessing.apply(image)

    assert found.shape == (3, preprocessing.input_size, preprocessing.input_size)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize(
    ("preset", "image_size", "crop", "input_size"),
    [("whole", 224, None, 224), ("official-224", 256, 224, 224), ("official-320", 366, 320, 320)],
)
def test_the_presets_are_those_of_the_paper(
    preset: str, image_size: int, crop: int | None, input_size: int
) -> None:
    preprocessing = PRESETS[preset]

    assert (preprocessing.image_size, preprocessing.crop) == (image_size, crop)
    assert preprocessing.input_size == input_size


@pytest.mark.parametrize("size_wh", SIZES_WH)
@pytest.mark.parametrize("preset", CROPPING)
def test_a_mask_pixel_counts_only_where_it_is_wholly_defect(size_wh: tuple[int, int], preset: str) -> None:
    width, height = size_wh
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : -height // 3, width // 3 : -width // 4] = 255
    mask[RNG.random(mask.shape) < 0.01] = 0
    preprocessing = PRESETS[preset]
    resize = _torchvision(preprocessing.image_size, preprocessing.input_size)
    expected = resize(Image.fromarray(mask))[0].numpy().astype(int) == 1

    found = preprocessing.apply_to_mask(mask)

    assert found.dtype == bool
    np.testing.assert_array_equal(found, expected)


def test_the_edge_of_a_shrunk_mask_does_not_count() -> None:
    mask = np.zeros((448, 448), np.uint8)
    mask[101:301, 101:301] = 255

    found = PRESETS["whole"].apply_to_mask(mask)

    # At half the size, pixel k is made of the pixels 2k - 1 to 2k + 2, all of which must be defect.
    inside = np.arange(51, 150)
    assert np.flatnonzero(found.any(axis=0)).tolist() == inside.tolist()
    assert np.flatnonzero(found.any(axis=1)).tolist() == inside.tolist()
    assert found.sum() == len(inside) ** 2


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("size_wh", [(1600, 1200), (1201, 1599), (1000, 1000)])
@pytest.mark.parametrize("at", [(0.5, 0.5), (0.3, 0.6), (0.62, 0.35)])
def test_a_place_in_the_map_is_found_again_in_the_picture(
    preset: str, size_wh: tuple[int, int], at: tuple[float, float]
) -> None:
    width, height = size_wh
    x, y = at[0] * width, at[1] * height
    rows, columns = np.mgrid[:height, :width]
    dot = 255 * np.exp(-(np.square(columns - x) + np.square(rows - y)) / (2 * 12.0**2))
    image = np.repeat(np.rint(dot)[:, :, None], 3, axis=2).astype(np.uint8)
    preprocessing = PRESETS[preset]

    bright = preprocessing.apply(image)[0]
    bright = bright - bright.min()
    map_y, map_x = np.mgrid[: len(bright), : len(bright)]
    centre = [(map_x * bright).sum() / bright.sum(), (map_y * bright).sum() / bright.sum(), 1.0]
    found = preprocessing.map_to_picture(width, height) @ centre

    np.testing.assert_allclose(found, (x, y), atol=0.25)


@pytest.mark.parametrize("size_wh", SIZES_WH)
def test_the_whole_map_covers_the_whole_picture(size_wh: tuple[int, int]) -> None:
    affine = PRESETS["whole"].map_to_picture(*size_wh)
    corners = np.array([[-0.5, -0.5, 1.0], [223.5, 223.5, 1.0]])

    np.testing.assert_allclose(
        corners @ affine.T, [[-0.5, -0.5], [size_wh[0] - 0.5, size_wh[1] - 0.5]], atol=1e-9
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image_size": 224, "crop": 225}, "crop of 225 px is larger"),
        ({"image_size": 31}, "input of 31 px is too small"),
        ({"image_size": 256, "crop": 16}, "input of 16 px is too small"),
        ({"image_size": 256, "crop": 0}, "input of 0 px is too small"),
        ({"image_size": -1}, "too small"),
        ({"implementation": "cv2-bilinear"}, "'cv2-bilinear'"),
    ],
)
def test_options_that_make_no_sense_are_errors(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words) as caught:
        Preprocessing(**options)

    assert caught.value.hint


def test_a_view_into_a_larger_picture_is_read_like_a_copy_and_left_alone() -> None:
    view = _fine_texture(300, 200)[::-1, 5:250, ::-1]
    before = view.copy()

    found = PRESETS["whole"].apply(view)

    np.testing.assert_array_equal(found, PRESETS["whole"].apply(before))
    np.testing.assert_array_equal(view, before)
