"""Pictures with reasons: what is where, on images of any size, with and without normal patches."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.camera import (
    Explanation,
    Frame,
    Inspection,
    Region,
    Verdict,
    draw_findings,
    explained_picture,
    explanation_sheet,
    heat_legend,
)

IDENTITY = np.array([[1.0, 0, 0], [0, 1, 0]])


def _picture(width: int = 160, height: int = 120) -> NDArray[np.uint8]:
    return np.full((height, width, 3), 100, np.uint8)


def _inspection(regions: int = 1, *, normal: bool = True, verdict: Verdict = Verdict.NG) -> Inspection:
    scores = np.zeros((120, 160), np.float32)
    scores[40:60, 40:60] = 1.5
    one = Explanation(
        patch_xywh=(46, 46, 8, 8),
        around_xywh=(20, 20, 48, 48),
        distance=7.3,
        typical_distance=1.0,
        image="train/good/" + "a long name " * 9 + ".png",
        normal_xy=(50, 50),
        normal_rgb=np.full((40, 40, 3), (0, 0, 255), np.uint8) if normal else None,
        normal_patch_xywh=(16, 16, 8, 8),
        missing="" if normal else "this bundle keeps no images of its training images",
    )
    region = Region((40, 40, 20, 20), 400.0, 1.5, (50, 50), ((40, 40), (60, 40), (60, 60)))
    return Inspection(
        verdict,
        1.7,
        1.2,
        "",
        scores,
        IDENTITY,
        map_threshold=1.0,
        review_map_threshold=0.7,
        regions=(region,) * regions,
        explain=lambda: (one,) * regions,
    )


@pytest.mark.parametrize("regions", [1, 2, 5])
@pytest.mark.parametrize("size_wh", [(160, 120), (1920, 1080), (300, 1200)])
def test_the_reasons_are_below_a_picture_that_keeps_its_size(size_wh: tuple[int, int], regions: int) -> None:
    picture, inspection = _picture(*size_wh), _inspection(regions)

    drawn = explained_picture(picture, inspection)

    assert drawn.shape[0] > size_wh[1] + 100
    assert drawn.shape[1] == max(size_wh[0], 560)
    heat = draw_findings(picture, inspection)
    same = (drawn[: size_wh[1], : size_wh[0]] == heat).all(axis=2)
    assert same.mean() > 0.95 - 0.1 * (size_wh[0] < 200)  # but for the numbers
    blue = (drawn[size_wh[1] :] == (0, 0, 255)).all(axis=2)
    assert blue.sum() > 1000 * regions


def test_a_picture_without_reasons_is_the_heat_alone() -> None:
    inspection = Inspection(Verdict.OK, 0.5, 1.2, "", np.zeros((120, 160), np.float32), IDENTITY)

    assert np.array_equal(explained_picture(_picture(), inspection), _picture())


def test_where_no_picture_was_kept_the_card_says_so() -> None:
    drawn = explained_picture(_picture(), _inspection(normal=False))

    assert not (drawn == (0, 0, 255)).all(axis=2).any()
    assert drawn.shape == explained_picture(_picture(), _inspection()).shape


@pytest.mark.parametrize("verdict", [Verdict.OK, Verdict.REVIEW, Verdict.NG])
def test_a_sheet_has_one_width_and_what_was_inspected_in_it(verdict: Verdict) -> None:
    sheets = [
        explanation_sheet(Frame("s", 0, "part.png", 0.0, _picture(*size)), _inspection(2, verdict=verdict))
        for size in ((160, 120), (900, 900), (200, 2000))
    ]

    assert {sheet.shape[1] for sheet in sheets} == {1240}
    assert all(((sheet == 100).all(axis=2)).mean() > 0.05 for sheet in sheets)


@pytest.mark.parametrize("width", [300, 560, 4000])
@pytest.mark.parametrize("review", [None, 0.7, 0.999])
def test_the_legend_goes_from_nothing_through_review_to_ng(width: int, review: float | None) -> None:
    inspection = Inspection(Verdict.NG, 2.0, 1.0, map_threshold=1.0, review_map_threshold=review)

    drawn = heat_legend(inspection, width)

    assert drawn.shape[1] == width
    bar = drawn[drawn.shape[0] // 3].astype(int)
    redness = bar[:, 0] - bar[:, 1]
    yellow = (np.abs(redness) < 40) & (bar[:, 1] - bar[:, 2] > 15)
    assert yellow.any() == (review is not None and review < 0.9)
    assert (redness > 75).sum() > width / 3
