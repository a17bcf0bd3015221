import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.camera import (
    Frame,
    HeatScale,
    Inspection,
    Verdict,
    banner,
    draw_findings,
    heatmap_overlay,
    result_picture,
)

SCALE = HeatScale(1.0)
IDENTITY = np.array([[1.0, 0, 0], [0, 1, 0]])


def _picture(height: int = 120, width: int = 160) -> NDArray[np.uint8]:
    return np.full((height, width, 3), 100, np.uint8)


def _flat_map(value: float, height: int = 120, width: int = 160) -> NDArray[np.float32]:
    return np.full((height, width), value, np.float32)


def _changed(picture: NDArray[np.uint8], before: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.asarray((picture != before).any(axis=2))


@pytest.mark.parametrize("value", [-5, 0, 0.999, 1.0])
def test_up_to_low_nothing_is_coloured(value: float) -> None:
    picture = _picture()

    drawn = heatmap_overlay(picture, _flat_map(value), IDENTITY, SCALE)

    assert np.array_equal(drawn, picture)


def test_the_picture_itself_is_not_written_to() -> None:
    picture = _picture()
    picture.flags.writeable = False

    drawn = heatmap_overlay(picture, _flat_map(3), IDENTITY, SCALE, mark_peak=True)

    assert drawn.flags.writeable
    assert (picture == 100).all()


def test_the_same_value_has_the_same_colour_whatever_else_is_on_the_map() -> None:
    one, other = _flat_map(0), _flat_map(0)
    one[40:80, 40:80] = 1.5
    other[40:80, 40:80] = 1.5
    other[10:30, 100:150] = 90

    drawn = [heatmap_overlay(_picture(), scores, IDENTITY, SCALE) for scores in (one, other)]

    assert np.array_equal(drawn[0][50:70, 50:70], drawn[1][50:70, 50:70])
    assert _changed(drawn[0], _picture())[50:70, 50:70].all()


def test_hotter_is_redder_and_stronger() -> None:
    def middle(value: float) -> NDArray[Any]:
        drawn = heatmap_overlay(_picture(), _flat_map(value), IDENTITY, SCALE)
        return np.asarray(drawn[60, 80], int)

    colours = [middle(value) for value in (1.01, 1.3, 1.6, 2.0)]
    redness = [int(colour[0] - colour[1]) for colour in colours]

    assert redness == sorted(set(redness))
    assert np.array_equal(middle(2.0), middle(50.0))
    # From a faint veil to a colour that dominates.
    assert np.abs(colours[0] - 100).max() < 90
    assert colours[3][1] < 40


def test_a_map_pixel_lands_where_the_affine_map_says() -> None:
    scores = np.zeros((20, 20), np.float32)
    scores[5, 12] = 4
    # Four image pixels for one of the map, shifted: centre 12 goes to 4 * 12 + 1.5 + 30 = 79.5.
    to_picture = np.array([[4.0, 0, 31.5], [0, 4.0, 11.5]])

    drawn = heatmap_overlay(_picture(), scores, to_picture, HeatScale(2.0))

    rows, columns = np.nonzero(_changed(drawn, _picture())[10:90, 30:110])
    assert columns.mean() + 30 == pytest.approx(79.5, abs=0.6)
    assert rows.mean() + 10 == pytest.approx(31.5, abs=0.6)


def test_exactly_what_was_not_inspected_is_dimmed() -> None:
    to_picture = np.array([[4.0, 0, 31.5], [0, 4.0, 11.5]])

    drawn = heatmap_overlay(_picture(), _flat_map(0, 20, 20), to_picture, SCALE)

    inside = np.zeros((120, 160), bool)
    inside[10:90, 30:110] = True
    assert (drawn[inside] == 100).all()
    assert ((drawn[~inside] > 30) & (drawn[~inside] < 80)).all()


def test_what_was_not_inspected_is_never_coloured() -> None:
    to_picture = np.array([[4.0, 0, 31.5], [0, 4.0, 11.5]])

    drawn = heatmap_overlay(_picture(), _flat_map(9, 20, 20), to_picture, SCALE).astype(int)

    assert np.ptp(drawn[:8], axis=2).max() == 0
    assert np.ptp(drawn[20:80, 40:100], axis=2).min() > 50


def test_what_is_hot_has_a_white_outline() -> None:
    scores = _flat_map(0)
    scores[40:80, 40:80] = 1.8

    drawn = heatmap_overlay(_picture(), scores, IDENTITY, SCALE)

    assert (drawn[60, 40] > 210).all()
    assert not (drawn[60, 60] > 210).all()
    assert (drawn[60, 30] == 100).all()


def test_the_ring_is_around_the_peak() -> None:
    scores = _flat_map(0)
    scores[30, 110] = 0.5

    drawn = heatmap_overlay(_picture(), scores, IDENTITY, SCALE, mark_peak=True)

    rows, columns = np.nonzero(_changed(drawn, _picture()))
    assert (rows.mean(), columns.mean()) == pytest.approx((30, 110), abs=0.1)
    assert len(rows) < 200
    assert (drawn[30, 110] == 100).all()


@pytest.mark.parametrize(("ng", "review"), [(3.0, None), (3.0, 2.0), (0.0, None), (-2.0, -3.0), (1.0, 1.5)])
def test_levels_rise_with_the_value_from_nothing_through_review_to_ng(
    ng: float, review: float | None
) -> None:
    scale = HeatScale(ng, review)
    low = ng if review is None else min(ng, review)
    values = np.sort(np.concatenate([np.linspace(ng - 3, scale.high + 3, 999), [low, ng, scale.high]]))

    levels = scale.levels(values).astype(int)

    assert (np.diff(levels) >= 0).all()
    assert (levels[values <= low] == 0).all()
    between = (values > low) & (values <= ng)
    assert ((levels[between] > 0) & (levels[between] < 128)).all()
    assert (levels[values > ng] >= 128).all()
    assert (levels[values >= scale.high] == 255).all()
    assert scale.high > scale.ng


def test_review_is_yellow_and_ng_is_red() -> None:
    scale = HeatScale(2.0, 1.0)

    def colour(value: float) -> list[int]:
        drawn = heatmap_overlay(_picture(), _flat_map(value), IDENTITY, scale)
        return [int(channel) for channel in drawn[60, 80]]

    for value in (1.1, 1.5, 2.0):
        red, green, blue = colour(value)
        assert red - green < 36
        assert green - blue > 15
    for value in (2.01, 3.0, 9.0):
        red, green, _ = colour(value)
        assert red - green > 75


@pytest.mark.parametrize("verdict", [Verdict.OK, Verdict.REVIEW, Verdict.NG])
def test_a_picture_never_says_more_than_its_verdict(verdict: Verdict) -> None:
    scores = np.linspace(0, 5, 160, dtype=np.float32)[None].repeat(120, axis=0)
    inspection = Inspection(
        verdict, 1.0, 1.0, "", scores, IDENTITY, map_threshold=2.0, review_map_threshold=1.0
    )

    row = draw_findings(_picture(), inspection)[60:61]
    drawn = row[0].astype(int)

    yellow = (drawn[:, 1] - drawn[:, 2] > 5) & (drawn[:, 0] - drawn[:, 1] < 40)
    red = drawn[:, 0] - drawn[:, 1] > 75
    assert not _changed(row, _picture()[60:61])[0, scores[60] <= 0.9].any()
    assert yellow.any() == (verdict is not Verdict.OK)
    assert red.any() == (verdict is Verdict.NG)


def test_the_same_value_has_the_same_colour_on_all_pictures_of_a_verdict() -> None:
    rng = np.random.default_rng(0)
    values = [np.sort(rng.uniform(0, 6, 160)).astype(np.float32) for _ in range(2)]
    values[1][40:100] = values[0][40:100]

    for verdict in (Verdict.REVIEW, Verdict.NG):
        drawn = [
            draw_findings(
                _picture(),
                Inspection(
                    verdict,
                    score,
                    1.0,
                    score_map_hw=one[None].repeat(120, axis=0),
                    map_to_picture=IDENTITY,
                    map_threshold=2.0,
                    review_map_threshold=1.0,
                ),
            )
            for one, score in zip(values, (3.0, 90.0), strict=True)
        ]
        assert np.array_equal(drawn[0][30:40, 42:98], drawn[1][30:40, 42:98])


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("size_wh", [(64, 64), (16, 900), (640, 480), (3840, 2160)])
def test_the_banner_leaves_the_picture_as_it_is_and_can_be_read(
    size_wh: tuple[int, int], verdict: Verdict
) -> None:
    width, height = size_wh
    picture = np.full((height, width, 3), 100, np.uint8)

    drawn = banner(picture, "score 12.34 / threshold 10.00", verdict)

    bar = drawn.shape[0] - height
    assert drawn.shape[1] == max(width, 240)
    assert np.array_equal(drawn[bar:, :width], picture)
    strip = drawn[:bar].astype(int)
    ground, letters = strip[1, 1], (strip.min(axis=2) > 200)
    assert (strip[-2, -2] == ground).all()
    assert letters.any(axis=1).sum() >= 8  # letters at least 8 px high
    assert letters[:, -3:].sum() == 0  # nothing cut at the edge
    assert ground @ (0.299, 0.587, 0.114) < 120  # white letters stand out


def test_every_verdict_has_its_own_colour() -> None:
    grounds = {tuple(banner(_picture(), "", verdict)[1, 1].astype(int).tolist()) for verdict in Verdict}
    green, _, red, _ = (banner(_picture(), "", v)[1, 1].astype(int) for v in Verdict)

    assert len(grounds) == 4
    assert np.argmax(green) == 1
    assert np.argmax(red) == 0


@pytest.mark.parametrize("text", ["", "x" * 500, "line\nbreak\tand  blanks", "gr\u00f6\u00dfe \u65e5"])
def test_any_text_fits_into_the_banner(text: str) -> None:
    drawn = banner(_picture(), text, Verdict.INVALID)

    assert drawn.shape == banner(_picture(), "short", Verdict.INVALID).shape
    assert (drawn[:, -3:].min(axis=2)[: drawn.shape[0] - 120] < 200).all()


def _inspection(verdict: Verdict, scores: NDArray[np.float32]) -> Inspection:
    return Inspection(verdict, 1.7, 1.2, "", scores, IDENTITY, map_threshold=1.0)


def test_the_result_of_a_bad_part_is_coloured_and_ringed_and_that_of_a_good_one_is_not() -> None:
    scores = _flat_map(0)
    scores[40:80, 40:80] = 1.8
    frame = Frame("s", 0, "f", 0.0, _picture())

    bad = result_picture(frame, _inspection(Verdict.NG, scores))
    good = result_picture(frame, _inspection(Verdict.OK, _flat_map(0.9)))

    assert _changed(bad[-120:, :160], _picture()).sum() > 1600
    assert np.array_equal(good[-120:, :160], _picture())


@pytest.mark.parametrize("image_rgb", [None, _picture()])
def test_a_frame_that_was_not_judged_has_a_result_picture_too(
    image_rgb: NDArray[np.uint8] | None,
) -> None:
    frame = Frame("s", 0, "f", 0.0, image_rgb, "" if image_rgb is not None else "lost")

    drawn = result_picture(frame, Inspection(Verdict.INVALID, None, math.nan, "black"))

    assert drawn.dtype == np.uint8
    assert drawn.shape[0] > 120
