import numpy as np
import pytest

from pcedge.camera import find_regions

TWICE = np.array([[2.0, 0.0, 0.5], [0.0, 2.0, 0.5]])


def test_regions_are_those_above_the_threshold_in_picture_coordinates_the_strongest_first() -> None:
    scores = np.zeros((20, 30), np.float32)
    scores[2:6, 3:9] = 1.0
    scores[4, 5] = 2.0
    scores[10:12, 20:25] = 5.0

    strong, weak = find_regions(scores, TWICE, 0.5)

    assert strong.box_xywh == (40, 20, 10, 4)
    assert strong.area_px == 2 * 5 * 4
    assert strong.peak == 5
    assert weak.box_xywh == (6, 4, 12, 8)
    assert (weak.peak, weak.peak_xy) == (2.0, (10, 8))
    xs, ys = zip(*weak.contour_xy, strict=True)
    assert (min(xs), max(xs), min(ys), max(ys)) == (6, 16, 4, 10)


def test_two_shapes_whose_boxes_overlap_keep_their_own_peaks() -> None:
    scores = np.zeros((12, 12), np.float32)
    scores[1:10, 1] = scores[9, 1:10] = 1.0
    scores[2, 8] = 7.0

    inner, outer = find_regions(scores, np.eye(2, 3), 0.5)

    assert (inner.peak, outer.peak) == (7.0, 1.0)
    assert outer.area_px == 9 + 8


@pytest.mark.parametrize("most", [1, 3])
def test_no_more_than_asked_for_and_none_below_the_threshold(most: int) -> None:
    scores = np.zeros((9, 9), np.float32)
    scores[::2, ::2] = 1.0

    assert len(find_regions(scores, np.eye(2, 3), 0.5, most=most)) == most
    assert find_regions(scores, np.eye(2, 3), 1.0) == ()
