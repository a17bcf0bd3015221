import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch.nn import functional

from pcedge.core.scoring import anomaly_map, image_score


@pytest.mark.parametrize(
    ("grid_hw", "size"),
    [((28, 28), 224), ((40, 40), 320), ((7, 7), 50), ((13, 13), 100), ((4, 4), 32), ((1, 1), 32)],
)
def test_the_map_is_upsampled_and_smoothed_as_in_the_reference(grid_hw: tuple[int, int], size: int) -> None:
    scores = np.random.default_rng(0).gamma(2, 3, grid_hw).astype(np.float32)
    scores[0, -1] = 100  # a corner shows what the border does
    enlarged = functional.interpolate(
        torch.from_numpy(scores)[None, None], (size, size), mode="bilinear", align_corners=False
    )
    expected = gaussian_filter(enlarged[0, 0].numpy(), sigma=4)

    found = anomaly_map(scores.reshape(-1), grid_hw, size)

    assert (found.shape, found.dtype.name) == ((size, size), "float32")
    np.testing.assert_allclose(found, expected, atol=2e-6 * expected.max())


def test_a_flat_map_keeps_its_value_up_to_the_border() -> None:
    found = anomaly_map(np.full(28 * 28, 3.25, np.float32), (28, 28), 224)

    np.testing.assert_allclose(found, 3.25, rtol=1e-6)


def test_the_image_score_is_the_largest_distance_before_smoothing() -> None:
    distances = np.zeros(784, np.float32)
    distances[300] = 7.5

    assert image_score(distances) == 7.5
    assert anomaly_map(distances, (28, 28), 224).max() < 7.5


def test_a_distance_that_is_no_number_makes_a_score_that_is_none() -> None:
    assert np.isnan(image_score(np.array([1.0, np.nan, 2.0], np.float32)))
