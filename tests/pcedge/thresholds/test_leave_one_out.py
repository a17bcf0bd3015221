import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.core.scoring import anomaly_map
from pcedge.thresholds.calibration_data import HeldOutEvidence
from pcedge.thresholds.conformal import Rates
from pcedge.thresholds.cross_validation import nameless_bank
from pcedge.thresholds.leave_one_out import left_out

GRID, SIDE, DIMS = (3, 3), 32, 6
IMAGES = 30


def _embeddings() -> NDArray[np.float32]:
    """Every image is a cluster of its own, so that its nearest rows are its own."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(IMAGES, 1, DIMS)) * 10
    return (centres + rng.normal(size=(IMAGES, 9, DIMS))).astype(np.float32)


def _nearest(rows: NDArray[np.float32], bank: NDArray[np.float32]) -> NDArray[np.float32]:
    squared = np.square(rows[:, None].astype(np.float64) - bank[None]).sum(axis=2)
    nearest: NDArray[np.float32] = squared.min(axis=1).astype(np.float32)
    return nearest


@pytest.mark.parametrize("grouped", [False, True])
def test_an_image_is_scored_by_all_rows_of_other_groups(grouped: bool) -> None:
    embeddings = _embeddings()
    groups = [str(image // 2 if grouped else image) for image in range(IMAGES)]
    patches = np.random.default_rng(1).permutation(IMAGES * 9)[:150]
    rows, source = embeddings.reshape(-1, DIMS)[patches], (patches // 9).astype(np.int32)

    found = left_out(embeddings, nameless_bank(rows), source, GRID, SIDE, groups)

    for image in range(IMAGES):
        others = np.array([groups[one] != groups[image] for one in source])
        expected = _nearest(embeddings[image], rows[others])
        np.testing.assert_allclose(found.scored.squared_distances[image], expected, rtol=1e-4)
        assert found.scores[image] == pytest.approx(expected.max(), rel=1e-4)
        assert found.map_peaks[image] == pytest.approx(anomaly_map(expected, GRID, SIDE).max(), rel=1e-4)
        farthest = found.scored.farthest[image]
        assert farthest[0] == expected.argmax()
        np.testing.assert_array_equal(found.scored.embeddings[image], embeddings[image, farthest])


def test_nothing_is_proven_and_it_is_said() -> None:
    embeddings = _embeddings()
    source = np.repeat(np.arange(IMAGES, dtype=np.int32), 9)
    names = tuple(f"{image}.png" for image in range(IMAGES))
    found = left_out(embeddings, nameless_bank(embeddings.reshape(-1, DIMS)), source, GRID, SIDE, names)

    limits = HeldOutEvidence(names, names, found, GRID, SIDE, {}).limits(Rates(0.1), "leave one out")

    assert limits.proven_rate is None
    assert limits.review_proven_rate is None
    assert "10.00%" in limits.guarantee
    assert "nothing is proven" in limits.guarantee
    assert limits.score in found.scores


def test_without_rows_of_others_an_image_is_infinitely_far() -> None:
    embeddings = _embeddings()[:2]
    source = np.zeros(9, np.int32)

    found = left_out(embeddings, nameless_bank(embeddings[0]), source, GRID, SIDE, ["a", "b"])

    assert np.isinf(found.scores[0])
    assert np.isfinite(found.scores[1])
