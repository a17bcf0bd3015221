"""Explanations: which normal patch is shown, where it lies, how far is far, and no images."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.banks import Bank, RowSources
from pcedge.bundles.bundle import Bundle, edit_bundle, seal
from pcedge.bundles.manifest import Manifest
from pcedge.bundles.nominal_images import NOMINAL_FILE, KeptPictures, write_nominal
from pcedge.camera import Event, Explanation, Frame, Verdict
from pcedge.core.preprocessing import Preprocessing
from pcedge.inspection.patchcore_detector import Inspector
from pcedge.inspection.region_explanation import MOST_EXPLAINED, NEIGHBOURS, Explainer, open_pictures

Pictures = list[NDArray[np.uint8]]


def _bad(pictures: Pictures) -> NDArray[np.uint8]:
    """An image of 90 x 90 with a white square; its centre is at x = 57.5, y = 35.5."""
    picture = np.array(pictures[-1])
    picture[30:42, 52:64] = 255
    return picture


@pytest.fixture
def nominal(tmp_path: Path, pictures: Pictures, manifest: Manifest) -> KeptPictures:
    """Pictures of all training images."""
    seen = [(f"good/{n}.png", manifest.preprocessing.seen(one)) for n, one in enumerate(pictures[:-1])]
    write_nominal(tmp_path / NOMINAL_FILE, seen, 10**6)
    return KeptPictures(tmp_path / NOMINAL_FILE)


def _with_pictures(inspector: Inspector, nominal: KeptPictures | None) -> Inspector:
    inspector.explainer = replace(inspector.explainer, pictures=nominal)
    return inspector


def _first(inspector: Inspector, picture: NDArray[np.uint8]) -> Explanation:
    inspection = inspector.inspect(picture)
    assert inspection.verdict is Verdict.NG
    return inspection.explain()[0]


def test_the_nearest_normal_patch_is_the_one_that_the_search_found(
    inspector: Inspector, pictures: Pictures, nominal: KeptPictures
) -> None:
    picture = _bad(pictures)
    stages = inspector.stages(picture)

    one = _first(_with_pictures(inspector, nominal), picture)

    patch = int(stages.squared_distances.argmax())
    row = int(stages.rows[patch])
    sources = inspector.bank.sources
    assert one.distance == pytest.approx(np.sqrt(stages.score))
    assert one.image == sources.images[sources.image[row]]
    # Cells of 22.5 px on the image, of which the white square lies mostly in the third of the second line.
    assert one.patch_xywh == (45, 22, 22, 22)
    assert one.normal_xy == (int((sources.x[row] + 0.5) * 22.5), int((sources.y[row] + 0.5) * 22.5))


def test_the_picture_shown_is_cut_from_the_training_image_around_that_patch(
    inspector: Inspector, pictures: Pictures, nominal: KeptPictures
) -> None:
    one = _first(_with_pictures(inspector, nominal), _bad(pictures))

    whole = nominal.read(one.image)
    assert whole is not None
    assert one.normal_rgb is not None
    side = round(0.3 * 32)
    assert one.normal_rgb.shape == (side, side, 3)
    x, y, width, height = one.normal_patch_xywh
    left = one.normal_xy[0] * 32 / 90 - (x + width / 2)
    top = one.normal_xy[1] * 32 / 90 - (y + height / 2)
    window = whole[round(top) : round(top) + side, round(left) : round(left) + side]
    assert np.array_equal(one.normal_rgb, window)


@pytest.mark.parametrize("kept", [True, False])
def test_without_a_picture_the_rest_is_said_all_the_same(
    inspector: Inspector, pictures: Pictures, tmp_path: Path, kept: bool
) -> None:
    write_nominal(tmp_path / NOMINAL_FILE, [("other", pictures[0])], 10**6)
    nominal = KeptPictures(tmp_path / NOMINAL_FILE) if kept else None

    one = _first(_with_pictures(inspector, nominal), _bad(pictures))

    assert one.normal_rgb is None
    assert ("no room for it" if kept else "keeps no images") in one.missing
    assert one.image
    assert one.times_typical is not None


def _explainer(rows: NDArray[np.float32]) -> Explainer:
    zeros = np.zeros(len(rows), np.int32)
    bank = Bank.build(rows, RowSources(("a",), zeros, zeros, zeros))
    return Explainer(bank, Preprocessing(image_size=32), (4, 4))


def test_the_typical_distance_is_the_median_to_the_nearest_other_rows() -> None:
    rows = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)

    found = _explainer(rows).typical_distance(7)

    others = np.sort(np.linalg.norm(rows - rows[7], axis=1))[1 : 1 + NEIGHBOURS]
    assert found == pytest.approx(np.median(others), rel=1e-5)


@pytest.mark.parametrize("rows", [1, 3])
def test_there_is_no_typical_distance_where_no_row_differs(rows: int) -> None:
    assert _explainer(np.ones((rows, 5), np.float32)).typical_distance(0) is None


def test_nothing_is_looked_up_before_somebody_asks_and_then_only_once(
    inspector: Inspector, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    around = Bank.around

    def counted(bank: Bank, row: int, count: int) -> NDArray[np.float32]:
        asked.append(row)
        return around(bank, row, count)

    monkeypatch.setattr(Bank, "around", counted)

    inspection = inspector.inspect(_bad(pictures))

    assert asked == []
    assert inspection.explain() is inspection.explain()
    assert 1 <= len(asked) <= MOST_EXPLAINED


def test_what_is_ok_has_no_explanation(inspector: Inspector, pictures: Pictures) -> None:
    inspection = inspector.inspect(pictures[0])

    assert inspection.verdict is Verdict.OK
    assert (inspection.regions, inspection.explain()) == ((), ())


def test_a_flagged_picture_whose_map_stays_low_has_a_region_and_a_reason(
    inspector: Inspector, pictures: Pictures
) -> None:
    inspector.map_threshold = 1e9

    inspection = inspector.inspect(_bad(pictures))

    assert inspection.verdict is Verdict.NG
    [region] = inspection.regions
    assert region.peak == pytest.approx(float(inspection.score_map_hw.max()))  # type: ignore[union-attr]
    assert len(inspection.explain()) == 1


def test_another_threshold_moves_those_of_the_map_with_it(inspector: Inspector, manifest: Manifest) -> None:
    limits = msgspec.structs.replace(manifest.threshold, score=8.0, map=4.0, review=6.0, review_map=3.5)
    manifest = msgspec.structs.replace(manifest, threshold=limits)

    def limits_for(threshold: float | None = None, review: float | None = None) -> tuple[float, float | None]:
        one = Inspector.of(manifest, inspector.runtime, inspector.bank, threshold=threshold, review=review)
        return one.map_threshold, one.review_map_threshold

    assert limits_for() == (4.0, None)
    assert limits_for(review=6.0) == (4.0, 3.5)
    assert limits_for(review=4.0) == (4.0, 2.0)
    assert limits_for(threshold=16.0, review=12.0) == (8.0, 6.0)


def test_the_event_says_it_in_json_for_the_regions_that_are_explained(
    inspector: Inspector, pictures: Pictures
) -> None:
    frame = Frame("s", 0, "f", 0.0, _bad(pictures))
    inspection = inspector.inspect(_bad(pictures))
    region = inspection.regions[0]
    many = replace(inspection, regions=(region,) * (MOST_EXPLAINED + 1))

    fields = msgspec.json.decode(Event.of(frame, many, 1.0, {}).to_json())

    [one] = inspection.explain()
    first, second = fields["regions"][0]["nearest_normal"], fields["regions"][1]["nearest_normal"]
    assert first["image"] == one.image
    assert first["distance"] == pytest.approx(one.distance)
    assert first["times_typical"] == pytest.approx(one.distance / (one.typical_distance or 0), abs=1e-3)
    assert first["at"] == list(one.normal_xy)
    assert second is None


def test_pictures_stay_readable_while_their_bundle_is_replaced(
    tmp_path: Path, make_bundle: Callable[..., Bundle], pictures: Pictures
) -> None:
    bundle = make_bundle(tmp_path / "part")
    assert open_pictures(bundle) is None
    for picture in pictures[:2]:
        with edit_bundle(bundle) as staging:
            write_nominal(staging / NOMINAL_FILE, [("good/0.png", picture)], 10**6)
            manifest = seal(staging, bundle.manifest)
        held = None if picture is pictures[1] else open_pictures(Bundle(bundle.directory, manifest))
        bundle = Bundle(bundle.directory, manifest)
        if held is not None:
            before, kept = held.read("good/0.png"), held
    after = open_pictures(bundle)

    assert after is not None
    assert np.array_equal(kept.read("good/0.png"), before)  # type: ignore[arg-type]
    assert after.read("good/0.png").shape == pictures[1].shape  # type: ignore[union-attr]
