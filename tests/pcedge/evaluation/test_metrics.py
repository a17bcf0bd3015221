"""The metrics against scikit-learn, SciPy and a slow sweep over every threshold there is."""

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import label
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from pcedge.evaluation.metrics import (
    Metric,
    PixelMetrics,
    PixelResult,
    image_metrics,
    pixel_metrics,
    rate,
    store,
)

Scores = NDArray[np.float32]
Maps = list[Scores]
Masks = list[NDArray[np.bool_]]


def _value(metric: Metric) -> float:
    assert metric.value is not None, metric.reason
    return metric.value


def _scores(seed: int, n: int, levels: int | None, shift: float) -> Scores:
    values = np.random.default_rng(seed).normal(shift, 1, n)
    return (values if levels is None else np.round(values * levels) / levels).astype(np.float32)


@pytest.mark.parametrize("levels", [None, 1, 3, 50])
@pytest.mark.parametrize(("n", "m"), [(1, 2), (7, 100), (1000, 3), (5000, 4000)])
@pytest.mark.parametrize("shift", [-1.0, 0.0, 1.0])
def test_image_metrics_are_those_of_scikit_learn(levels: int | None, n: int, m: int, shift: float) -> None:
    normal, anomalous = _scores(0, n, levels, 0), _scores(1, m, levels, shift)
    labels, scores = np.repeat([0, 1], [n, m]), np.concatenate([normal, anomalous])

    found = image_metrics(normal, anomalous)

    assert found.auroc.value == pytest.approx(roc_auc_score(labels, scores), abs=1e-9)
    assert found.average_precision.value == pytest.approx(average_precision_score(labels, scores), abs=1e-9)
    precision, recall, _ = precision_recall_curve(labels, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    assert found.f1_max.value == pytest.approx(f1.max(), abs=1e-9)
    assert found.f1_max.threshold is not None
    called = scores > found.f1_max.threshold
    at = 2 * (called & (labels == 1)).sum() / (called.sum() + m)
    assert found.f1_max.value == pytest.approx(at, abs=1e-9)


@pytest.mark.parametrize(
    ("normal", "anomalous", "auroc", "precision", "f1"),
    [
        ([1, 2], [3, 4], 1.0, 1.0, 1.0),
        ([3, 4], [1, 2], 0.0, 5 / 12, 2 / 3),
        ([1, 2, 3], [2], 0.5, 1 / 3, 0.5),
        ([0, 1], [1, 1], 0.75, 2 / 3, 0.8),
    ],
)
def test_image_metrics_of_simple_cases(
    normal: list[float], anomalous: list[float], auroc: float, precision: float, f1: float
) -> None:
    found = image_metrics(np.array(normal, np.float32), np.array(anomalous, np.float32))

    assert _value(found.auroc) == pytest.approx(auroc)
    assert _value(found.average_precision) == pytest.approx(precision)
    assert _value(found.f1_max) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("normal", "anomalous", "reason"),
    [
        ([], [1.0], "no good images"),
        ([1.0], [], "no defective images"),
        ([], [], "no good images"),
        ([2.0, 2.0], [2.0], "all scores are equal"),
        ([1.0, math.nan], [2.0], "a score is not a number"),
    ],
)
def test_what_is_not_defined_is_no_number_and_says_why(
    normal: list[float], anomalous: list[float], reason: str
) -> None:
    found = image_metrics(np.array(normal, np.float32), np.array(anomalous, np.float32))

    for metric in vars(found).values():
        assert metric == Metric(None, reason=reason)
        assert str(metric) == f"not defined: {reason}"


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


def _of_anomalous(maps: Maps, masks: Masks) -> tuple[Maps, Masks]:
    kept = [(score_map, mask) for score_map, mask in zip(maps, masks, strict=True) if mask.any()]
    return [score_map for score_map, _ in kept], [mask for _, mask in kept]


def _slow_aupro(maps: Maps, masks: Masks, limit: float) -> float:
    """The curve point by point over every threshold there is, and the trapezium rule up to the limit."""
    regions = []
    for number, mask in enumerate(masks):
        labels, count = label(mask, structure=np.ones((3, 3)))
        regions += [np.sort(maps[number][labels == index]) for index in range(1, count + 1)]
    normal = np.sort(np.concatenate([m[~mask] for m, mask in zip(maps, masks, strict=True)]))
    thresholds = np.unique(np.concatenate([m.ravel() for m in maps]))[::-1]
    rates = np.append(0.0, 1 - np.searchsorted(normal, thresholds, "left") / len(normal))
    shares = [1 - np.searchsorted(region, thresholds, "left") / len(region) for region in regions]
    overlaps = np.append(0.0, np.mean(shares, axis=0))
    end = np.interp(limit, rates, overlaps)
    inside = rates <= limit
    rates, overlaps = np.append(rates[inside], limit), np.append(overlaps[inside], end)
    return float(np.sum(np.diff(rates) * (overlaps[1:] + overlaps[:-1]) / 2) / limit)


def _assert_exact(found: PixelResult, maps: Maps, masks: Masks, limit: float) -> None:
    """Compare with scikit-learn and the slow sweep."""
    some = _of_anomalous(maps, masks)
    labels, scores = (np.concatenate([array.ravel() for array in arrays]) for arrays in (masks, maps))
    few_labels, few_scores = (np.concatenate([a.ravel() for a in arrays]) for arrays in some[::-1])
    assert found.auroc.value == pytest.approx(roc_auc_score(labels, scores), abs=1e-9)
    assert found.auroc_anomalous.value == pytest.approx(roc_auc_score(few_labels, few_scores), abs=1e-9)
    assert found.average_precision.value == pytest.approx(average_precision_score(labels, scores), abs=1e-9)
    precision, recall, _ = precision_recall_curve(labels, scores)
    best = (2 * precision * recall / np.maximum(precision + recall, 1e-12)).max()
    assert found.f1_max.value == pytest.approx(best, abs=1e-9)
    assert found.aupro.value == pytest.approx(_slow_aupro(*some, limit), abs=1e-6)
    assert found.aupro_all.value == pytest.approx(_slow_aupro(maps, masks, limit), abs=1e-6)
    for metric in (found.auroc, found.auroc_anomalous, found.aupro, found.aupro_all):
        assert metric.low is not None
        assert metric.high is not None
        assert 0 <= metric.low <= _value(metric) <= metric.high <= 1


@pytest.mark.parametrize("levels", [None, 1, 2, 8])
@pytest.mark.parametrize("limit", [0.01, 0.05, 0.3, 1.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_pixel_metrics_are_those_of_scikit_learn_and_of_a_slow_sweep(
    levels: int | None, limit: float, seed: int
) -> None:
    maps, masks = _dataset(seed, levels)

    _assert_exact(pixel_metrics(maps, masks, limit), maps, masks, limit)


@pytest.mark.parametrize("levels", [None, 4])
def test_nothing_changes_where_the_scores_go_through_a_file_and_many_blocks(
    levels: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_IN_MEMORY", 1)
    monkeypatch.setattr(store, "_BLOCK", 1000)
    monkeypatch.setattr("pcedge.evaluation.metrics.pixels._SLICE", 37)
    monkeypatch.setattr("pcedge.evaluation.metrics.ranks._PART", 11)
    maps, masks = _dataset(2, levels, images=6, size=40)

    _assert_exact(pixel_metrics(maps, masks, 0.3), maps, masks, 0.3)


@pytest.mark.shared
def test_pixel_metrics_on_real_maps(shared: Path) -> None:
    """Maps of real tiles, as the difference from the mean tile gives them, and their masks."""
    from pcedge.camera import read_image, read_mask
    from pcedge.core.preprocessing import Preprocessing
    from pcedge.datasets import open_dataset

    dataset = open_dataset(shared / "data" / "magnetic_tile")
    size = Preprocessing(image_size=96)
    mean = np.mean([size.apply(read_image(path)) for path in dataset.train[:40]], axis=0)
    maps, masks = [], []
    for sample in dataset.test[::6]:
        difference = np.abs(size.apply(read_image(sample.path)) - mean).mean(axis=0)
        maps.append(difference.astype(np.float32))
        masks.append(size.apply_to_mask(read_mask(sample.mask)) if sample.mask else np.zeros((96, 96), bool))

    for limit in (0.3, 0.05):
        _assert_exact(pixel_metrics(maps, masks, limit), maps, masks, limit)


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
        # The highest normal scores tie with the defect: from nothing to everything along one line.
        ([[1, 0, 0, 0]], [[2, 2, 2, 1]], 0.3 / 2 / (2 / 3)),
    ],
)
def test_aupro_of_simple_cases(mask: list[list[int]], scores: list[list[float]], expected: float) -> None:
    assert pixel_metrics(*_one(mask, scores)).aupro.value == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("mask", "scores", "reason"),
    [
        ([[0, 0]], [[1, 2]], "no defect pixels"),
        ([[1, 1]], [[1, 2]], "no normal pixels"),
        ([[1, 0]], [[1, 1]], "all scores are equal"),
        ([[1, 0]], [[1, math.nan]], "a map holds values that are not numbers"),
        ([[1, 0]], [[math.nan, 1]], "a map holds values that are not numbers"),
    ],
)
def test_degenerate_maps_are_not_defined_and_say_why(
    mask: list[list[int]], scores: list[list[float]], reason: str
) -> None:
    assert pixel_metrics(*_one(mask, scores)) == PixelResult.undefined(reason)


def test_of_no_maps_nothing_is_defined() -> None:
    assert pixel_metrics([], []) == PixelResult.undefined("no defect pixels")


def test_anomalous_images_without_contrast_leave_the_metrics_of_all_images_defined() -> None:
    maps, masks = _one([[1, 0]], [[2, 2]])
    found = pixel_metrics([*maps, np.ones((1, 2), np.float32)], [*masks, np.zeros((1, 2), bool)])

    assert found.auroc_anomalous.reason == found.aupro.reason == "all scores of anomalous images are equal"
    assert _value(found.auroc) == pytest.approx(5 / 6)

    whole = pixel_metrics([*maps, np.ones((1, 2), np.float32)], [np.ones((1, 2), bool), masks[0] & False])
    assert whole.auroc_anomalous.reason == "anomalous images have no normal pixels"
    assert whole.auroc.value == 1.0


def test_a_larger_score_scale_changes_nothing() -> None:
    maps, masks = _dataset(5, None)
    scaled = [np.exp(score_map) for score_map in maps]

    first, second = pixel_metrics(maps, masks), pixel_metrics(scaled, masks)

    assert first.aupro.value == pytest.approx(second.aupro.value)
    assert first.auroc.value == pytest.approx(second.auroc.value)


def test_maps_are_left_as_they_were_and_more_can_be_added() -> None:
    maps, masks = _dataset(1, None, images=5)
    before = [score_map.copy() for score_map in maps]

    with PixelMetrics() as metrics:
        for score_map, mask in zip(maps[:3], masks[:3], strict=True):
            metrics.add(score_map, mask)
        first = metrics.compute()
        for score_map, mask in zip(maps[3:], masks[3:], strict=True):
            metrics.add(score_map, mask)
        second = metrics.compute()

    assert all((score_map == copy).all() for score_map, copy in zip(maps, before, strict=True))
    assert first == pixel_metrics(maps[:3], masks[:3])
    assert second == pixel_metrics(maps, masks)


@pytest.mark.parametrize(("count", "total"), [(0, 1), (1, 1), (0, 60), (3, 60), (59, 60), (12, 9000)])
def test_the_interval_of_a_rate_is_the_exact_binomial_one(count: int, total: int) -> None:
    exact = binomtest(count, total).proportion_ci(0.95, method="exact")

    found = rate(count, total, "good images")

    assert found.value == count / total
    assert found.low == pytest.approx(exact.low, abs=1e-9)
    assert found.high == pytest.approx(exact.high, abs=1e-9)


def test_a_rate_of_nothing_is_not_defined() -> None:
    assert rate(0, 0, "good images") == Metric.undefined("no good images")


def test_the_bootstrap_repeats_itself_and_differs_with_the_seed() -> None:
    normal, anomalous = _scores(0, 40, None, 0), _scores(1, 30, None, 1)

    first, again = image_metrics(normal, anomalous), image_metrics(normal, anomalous)
    other = image_metrics(normal, anomalous, seed=1)

    assert first == again
    assert first.auroc.value == other.auroc.value
    assert first.auroc.low != other.auroc.low


def test_the_bootstrap_of_images_is_that_of_drawing_them_one_by_one() -> None:
    normal, anomalous = _scores(0, 40, 4, 0), _scores(1, 30, 4, 1)
    rng = np.random.default_rng(7)
    labels = np.repeat([0, 1], [40, 30])
    drawn = [
        roc_auc_score(labels, np.concatenate([rng.choice(normal, 40), rng.choice(anomalous, 30)]))
        for _ in range(2000)
    ]

    found = image_metrics(normal, anomalous, resamples=20_000).auroc

    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.01)


def test_the_bootstrap_of_pixels_is_that_of_drawing_whole_images() -> None:
    maps, masks = _dataset(3, None, images=12, size=16)
    anomalous = [number for number, mask in enumerate(masks) if mask.any()]
    maps, masks = [maps[n] for n in anomalous], [masks[n] for n in anomalous]
    rng = np.random.default_rng(7)
    aurocs, aupros = [], []
    for _ in range(400):
        drawn = rng.integers(0, len(maps), len(maps))
        some = [maps[n] for n in drawn], [masks[n] for n in drawn]
        aurocs.append(roc_auc_score(np.concatenate(some[1]).ravel(), np.concatenate(some[0]).ravel()))
        aupros.append(_slow_aupro(*some, 0.3))

    found = pixel_metrics(maps, masks)

    assert (found.auroc.low, found.auroc.high) == pytest.approx(np.quantile(aurocs, [0.025, 0.975]), abs=0.02)
    assert (found.aupro.low, found.aupro.high) == pytest.approx(np.quantile(aupros, [0.025, 0.975]), abs=0.02)


def test_one_image_of_a_kind_has_no_interval() -> None:
    assert image_metrics(_scores(0, 1, None, 0), _scores(1, 9, None, 1)).auroc.low is None
    assert pixel_metrics(*_one([[1, 0]], [[2, 1]])).auroc == Metric(1.0)


def test_a_metric_shows_its_interval_and_threshold() -> None:
    assert str(Metric(0.5, 0.25, 0.75)) == "0.5000 (0.2500 to 0.7500)"
    assert str(Metric(1.0, threshold=0.125)) == "1.0000 above 0.125"
    assert Metric(0.5).to_dict() == {
        "value": 0.5,
        "low": None,
        "high": None,
        "reason": "",
        "threshold": None,
    }
