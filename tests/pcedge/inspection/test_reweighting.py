"""The paper's equation 7: the same score in fit, calibration and inspection, and numerically safe."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.banks import Bank, CoresetSize, RowSources
from pcedge.bundles.manifest import MANIFEST_FILE, Manifest, ScoreInfo, read_manifest
from pcedge.core.preprocessing import Preprocessing
from pcedge.core.scoring import check_neighbours, image_score, reweighted_score
from pcedge.errors import OptionError
from pcedge.inspection.patchcore_detector import Inspector
from pcedge.thresholds.cross_validation import held_out, score_images

GRID, DIMS = (4, 4), 6


def _bank(rows: NDArray[np.float32]) -> Bank:
    unnamed = np.zeros(len(rows), np.int32)
    return Bank.build(rows, RowSources(("one",), unnamed, unnamed, unnamed))


def _paper(embeddings: NDArray[np.float32], rows: NDArray[np.float32], b: int) -> float:
    """Equation 7 as it stands in the paper, in double precision; squared."""
    patches, bank = embeddings.astype(np.float64), rows.astype(np.float64)
    distances = np.linalg.norm(patches[:, None] - bank[None], axis=2)
    patch = distances.min(axis=1).argmax()
    nearest = distances[patch].argmin()
    around = np.argsort(np.linalg.norm(bank - bank[nearest], axis=1), kind="stable")[:b]
    exponents = np.exp(distances[patch])
    weight = 1 - exponents[nearest] / exponents[around].sum()
    return float((weight * distances[patch, nearest]) ** 2)


def _score(embeddings: NDArray[np.float32], bank: Bank, neighbours: int) -> float:
    distances, rows = bank.search(embeddings)
    return reweighted_score(distances, rows, embeddings, bank, neighbours)


@pytest.mark.parametrize("neighbours", [2, 3, 9, 40])
@pytest.mark.parametrize("seed", range(5))
def test_the_score_is_the_paper_s_squared(neighbours: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(40, DIMS)).astype(np.float32)
    embeddings = rng.normal(0, 2, (16, DIMS)).astype(np.float32)

    found = _score(embeddings, _bank(rows), neighbours)

    assert found == pytest.approx(_paper(embeddings, rows, neighbours), rel=1e-5)


def test_with_one_neighbour_the_score_is_the_official_one() -> None:
    rng = np.random.default_rng(0)
    bank = _bank(rng.normal(size=(20, DIMS)).astype(np.float32))
    embeddings = rng.normal(size=(16, DIMS)).astype(np.float32)

    assert _score(embeddings, bank, 1) == image_score(bank.search(embeddings)[0])


@pytest.mark.parametrize("scale", [1e-18, 1e-3, 1e3, 1e9, 1e18])
def test_no_distance_is_too_large_or_too_small(scale: float) -> None:
    rng = np.random.default_rng(1)
    bank = _bank((rng.normal(size=(20, DIMS)) * scale).astype(np.float32))
    embeddings = (rng.normal(size=(16, DIMS)) * scale * 3).astype(np.float32)

    plain, weighted = _score(embeddings, bank, 1), _score(embeddings, bank, 5)

    assert np.isfinite(weighted)
    assert 0 <= weighted <= plain * (1 + 1e-6)


def test_an_anomaly_beside_a_lonely_row_counts_more_than_one_beside_a_crowd() -> None:
    crowd = np.zeros((8, DIMS), np.float32) + np.arange(8)[:, None] * 1e-3
    lonely = np.full((1, DIMS), 50, np.float32)
    bank = _bank(np.concatenate([crowd, lonely]).astype(np.float32))
    step = np.zeros((1, DIMS), np.float32)
    step[0, 0] = 1

    beside_crowd = _score(crowd[:1] - step, bank, 5)
    beside_lonely = _score(lonely + step, bank, 5)

    assert beside_lonely > beside_crowd
    assert beside_lonely == pytest.approx(1, rel=1e-3)


def test_a_bank_smaller_than_the_neighbours_and_one_of_a_single_row_still_score() -> None:
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(3, DIMS)).astype(np.float32)
    embeddings = rng.normal(size=(16, DIMS)).astype(np.float32)

    assert _score(embeddings, _bank(rows), 9) == pytest.approx(_paper(embeddings, rows, 3), rel=1e-5)
    assert _score(embeddings, _bank(rows[:1]), 9) == _score(embeddings, _bank(rows[:1]), 1) > 0


def test_what_is_not_a_number_stays_so() -> None:
    bank = _bank(np.eye(6, dtype=np.float32))
    embeddings = np.zeros((16, DIMS), np.float32)
    embeddings[3, 0] = np.nan

    assert np.isnan(_score(embeddings, bank, 3))


def test_calibration_scores_good_images_as_inspection_will() -> None:
    rng = np.random.default_rng(3)
    embeddings = rng.normal(size=(6, 16, DIMS)).astype(np.float32)
    rows = rng.normal(size=(30, DIMS)).astype(np.float32)

    scores = score_images(embeddings, _bank(rows), GRID, 32, neighbours=4).scores
    plain = held_out(embeddings, embeddings, CoresetSize(fraction=1.0), Preprocessing(32), GRID, seed=0)
    weighted = held_out(
        embeddings, embeddings, CoresetSize(fraction=1.0), Preprocessing(32), GRID, seed=0, neighbours=4
    )

    np.testing.assert_allclose(scores, [_paper(image, rows, 4) for image in embeddings], rtol=1e-5)
    assert (weighted.scores < plain.scores).all()
    np.testing.assert_array_equal(weighted.map_peaks, plain.map_peaks)


def test_the_inspector_scores_as_the_manifest_says(
    inspector: Inspector, manifest: Manifest, pictures: list[NDArray[np.uint8]]
) -> None:
    with_neighbours = msgspec.structs.replace(manifest, score=ScoreInfo(neighbours=3))
    weighing = Inspector.of(with_neighbours, inspector.runtime, inspector.bank)

    plain, weighted = inspector.stages(pictures[-1]), weighing.stages(pictures[-1])

    assert plain.embeddings is not None
    expected = _paper(plain.embeddings, inspector.bank.rows, 3)
    assert weighted.score == pytest.approx(expected, rel=1e-4)
    assert weighted.score < plain.score


def test_a_manifest_from_before_re_weighting_is_read_and_means_none(
    manifest: Manifest, tmp_path: Path
) -> None:
    stated = msgspec.json.decode(manifest.to_json())
    del stated["score"]
    (tmp_path / MANIFEST_FILE).write_bytes(msgspec.json.encode(stated))

    assert read_manifest(tmp_path).score.neighbours == 1


@pytest.mark.parametrize("neighbours", [0, -3])
def test_fewer_than_one_neighbour_is_refused(neighbours: int) -> None:
    with pytest.raises(OptionError, match=str(neighbours)):
        check_neighbours(neighbours)
