import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import label
from sklearn.metrics import roc_auc_score

from pcedge.metrics import aupro, auroc, pixel_auroc

Maps = list[NDArray[np.float32]]
Masks = list[NDArray[np.bool_]]


def _scores(seed: int, n: int, levels: int | None, shift: float) -> NDArray[np.float32]:
    values = np.random.default_rng(seed).normal(shift, 1, n)
    return (values if levels is None else np.round(values * levels) / levels).astype(np.float32)


@pytest.mark.parametrize("levels", [None, 1, 3, 50])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (7, 100), (1000, 3), (5000, 4000)])
@pytest.mark.parametrize("shift", [-1.0, 0.0, 1.0])
def test_auroc_is_that_of_scikit_learn(levels: int | None, n: int, m: int, shift: float) -> None:
    normal, anomalous = _scores(0, n, levels, 0), _scores(1, m, levels, shift)
    labels = np.repeat([0, 1], [n, m])
    expected = roc_auc_score(labels, np.concatenate([normal, anomalous]))

    assert auroc(normal, anomalous) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("normal", "anomalous", "expected"),
    [
        ([1, 2], [3, 4], 1.0),
        ([3, 4], [1, 2], 0.0),
        ([1, 1], [1, 1], 0.5),
        ([1, 2, 3], [2], 0.5),
        ([], [1], None),
        ([1], [], None),
        ([], [], None),
    ],
)
def test_auroc_of_simple_cases(normal: list[float], anomalous: list[float], expected: float | None) -> None:
    assert auroc(np.array(normal, np.float32), np.array(anomalous, np.float32)) == expected


def _dataset(seed: int, levels: int | None, images: int = 4, size: int = 24) -> tuple[Maps, Masks]:
    """Maps with noise, a few defects that partly stand out, and one map without any."""
    rng = np.random.default_rng(seed)
    maps, masks = [], []
    for number in range(images):
        mask = np.zeros((size, size), bool)
        if number:
            for _ in range(number):
                y, x = rng.integers(0, size - 6, 2)
                mask[y : y + rng.integers(1, 6), x : x + rng.integers(1, 6)] = True
        score_map = rng.normal(0, 1, mask.shape) + mask * rng.normal(1.5, 1.0, mask.shape)
        if levels is not None:
            score_map = np.round(score_map * levels) / levels
        maps.append(score_map.astype(np.float32))
        masks.append(mask)
    return maps, masks


@pytest.mark.parametrize("levels", [None, 2])
def test_pixel_auroc_is_that_of_all_pixels_of_all_maps(levels: int | None) -> None:
    maps, masks = _dataset(3, levels)
    expected = roc_auc_score(np.stack(masks).ravel(), np.stack(maps).ravel())

    assert pixel_auroc(maps, masks) == pytest.approx(expected, abs=1e-9)


def _slow_aupro(maps: Maps, masks: Masks, limit: float) -> float:
    """The curve point by point over every threshold there is, and the trapezium rule up to the limit."""
    regions = []
    for number, mask in enumerate(masks):
        labels, count = label(mask, structure=np.ones((3, 3)))
        regions += [(number, labels == index) for index in range(1, count + 1)]
    normal = np.concatenate([m[~mask] for m, mask in zip(maps, masks, strict=True)])
    rates, overlaps = [0.0], [0.0]
    for threshold in np.unique(np.concatenate([m.ravel() for m in maps]))[::-1]:
        rates.append(float((normal >= threshold).mean()))
        overlaps.append(float(np.mean([(maps[i][r] >= threshold).mean() for i, r in regions])))
    area = 0.0
    for (x0, y0), (x1, y1) in zip(
        zip(rates, overlaps, strict=True), zip(rates[1:], overlaps[1:], strict=True), strict=False
    ):
        if x0 >= limit or x1 == x0:
            continue
        end = min(x1, limit)
        y_end = y0 + (y1 - y0) * (end - x0) / (x1 - x0)
        area += (end - x0) * (y0 + y_end) / 2
    return area / limit


@pytest.mark.parametrize("levels", [None, 1, 2, 8])
@pytest.mark.parametrize("limit", [0.01, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_aupro_is_the_area_under_the_curve_point_by_point(
    levels: int | None, limit: float, seed: int
) -> None:
    maps, masks = _dataset(seed, levels)

    assert aupro(maps, masks, limit) == pytest.approx(_slow_aupro(maps, masks, limit), abs=1e-6)


def _one(mask: list[list[int]], scores: list[list[float]]) -> tuple[Maps, Masks]:
    return [np.array(scores, np.float32)], [np.array(mask, bool)]


@pytest.mark.parametrize(
    ("mask", "scores", "expected"),
    [
        ([[1, 0], [0, 0]], [[9, 1], [2, 3]], 1.0),
        ([[1, 0], [0, 0]], [[0, 1], [2, 3]], 0.0),
        # Diagonal neighbours are one component: a third of it is found.
        ([[1, 0, 0], [0, 1, 1]], [[9, 1, 2], [3, 0, 0]], 1 / 3),
        # Two components, a large one found and a small one missed, count alike.
        ([[1, 1, 1, 0, 1]], [[9, 9, 9, 1, 0]], 0.5),
        # Everything ties: from nothing to everything along one line, of which 0.3 are left.
        ([[1, 0], [0, 0]], [[1, 1], [1, 1]], 0.15),
    ],
)
def test_aupro_of_simple_cases(mask: list[list[int]], scores: list[list[float]], expected: float) -> None:
    assert aupro(*_one(mask, scores)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("value", [False, True])
def test_without_defect_pixels_or_without_others_nothing_is_defined(value: bool) -> None:
    maps, masks = [np.zeros((3, 3), np.float32)], [np.full((3, 3), value)]

    assert pixel_auroc(maps, masks) is None
    assert aupro(maps, masks) is None


def test_of_no_maps_nothing_is_defined() -> None:
    assert pixel_auroc([], []) is None
    assert aupro([], []) is None


def test_a_larger_score_scale_changes_nothing() -> None:
    maps, masks = _dataset(5, None)
    scaled = [np.exp(score_map) for score_map in maps]

    assert aupro(scaled, masks) == pytest.approx(aupro(maps, masks))
    assert pixel_auroc(scaled, masks) == pytest.approx(pixel_auroc(maps, masks))
