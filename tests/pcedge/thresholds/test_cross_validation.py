import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.banks import Bank, CoresetSize
from pcedge.core.preprocessing import Preprocessing
from pcedge.core.scoring import anomaly_map
from pcedge.thresholds.cross_validation import ImageScores, held_out, nameless_bank, score_images

GRID, DIMS = (3, 3), 5
ALL, SIZE = CoresetSize(fraction=1.0), Preprocessing(image_size=32)


def _embeddings(images: int) -> NDArray[np.float32]:
    """Every image is a cluster of its own."""
    rng = np.random.default_rng(images)
    centres = rng.normal(size=(images, 1, DIMS)) * 10
    return (centres + rng.normal(size=(images, 9, DIMS))).astype(np.float32)


def _distances(embeddings: NDArray[np.float32], image: int, bank_images: list[int]) -> NDArray[np.float32]:
    bank = embeddings[bank_images].reshape(-1, DIMS)
    squared = np.square(embeddings[image][:, None].astype(np.float64) - bank[None]).sum(axis=2)
    nearest: NDArray[np.float32] = squared.min(axis=1).astype(np.float32)
    return nearest


def test_with_a_fold_for_each_image_it_is_scored_against_all_others() -> None:
    embeddings = _embeddings(7)
    others = [[other for other in range(7) if other != image] for image in range(7)]
    distances = [_distances(embeddings, image, others[image]) for image in range(7)]

    results = held_out(embeddings, embeddings, ALL, SIZE, GRID, seed=0, folds=7)

    assert results.folds == 7
    np.testing.assert_allclose(results.scores, [d.max() for d in distances], rtol=1e-4)
    peaks = [anomaly_map(d, GRID, 32).max() for d in distances]
    np.testing.assert_allclose(results.map_peaks, peaks, rtol=1e-4)


@pytest.mark.parametrize(("images", "folds"), [(11, 5), (10, 2), (4, 5)])
def test_no_image_is_scored_against_its_own_fold(images: int, folds: int) -> None:
    # Image i repeats image i - 1 exactly, so only a fold that holds both gives a score above zero.
    embeddings = np.repeat(_embeddings((images + 1) // 2), 2, axis=0)[:images]

    results = held_out(embeddings, embeddings, ALL, SIZE, GRID, seed=0, folds=folds)

    # The folds as numpy's documented generator deals them.
    dealt = np.array_split(np.random.default_rng(0).permutation(images), min(folds, images))
    for fold in dealt:
        kept = sorted(set(range(images)) - set(fold.tolist()))
        for image in fold:
            expected = _distances(embeddings, image, kept).max()
            assert results.scores[image] == pytest.approx(expected, rel=1e-4, abs=1e-3)
    assert results.folds == min(folds, images)


def test_a_smaller_coreset_makes_scores_larger_and_never_smaller() -> None:
    embeddings = _embeddings(10)

    whole, small = (
        held_out(embeddings, embeddings, size, SIZE, GRID, seed=0).scores
        for size in (ALL, CoresetSize(fraction=0.1))
    )

    assert (small >= whole * (1 - 1e-4)).all()
    assert small.mean() > whole.mean()


def test_the_seed_deals_the_folds() -> None:
    embeddings = _embeddings(12)

    first, again, other = (
        held_out(embeddings, embeddings, ALL, SIZE, GRID, seed=seed, folds=3).scores for seed in (1, 1, 2)
    )

    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_progress_counts_the_images() -> None:
    told: list[tuple[str, int, int]] = []
    embeddings = _embeddings(6)

    held_out(embeddings, embeddings, ALL, SIZE, GRID, seed=0, progress=lambda *now: told.append(now))

    assert told == [("calibrate", done, 6) for done in range(1, 7)]


def test_images_of_a_group_are_scored_without_each_other() -> None:
    # Images 0 and 1, 2 and 3, ... are the same: with its twin in the bank, an image would score zero.
    embeddings = np.repeat(_embeddings(6), 2, axis=0)
    groups = [f"batch {image // 2}" for image in range(12)]

    results = held_out(embeddings, embeddings, ALL, SIZE, GRID, seed=0, folds=5, groups=groups)
    alone = held_out(embeddings, embeddings, ALL, SIZE, GRID, seed=0, folds=12)

    assert results.folds == 5
    assert (results.scores > 1).all()
    np.testing.assert_allclose(alone.scores, 0, atol=1e-3)


def test_a_gap_in_the_bank_itself_counts_too() -> None:
    embeddings = _embeddings(8)
    coarse = nameless_bank(embeddings[:1, :1].reshape(-1, DIMS))

    def scored(bank: Bank | None) -> ImageScores:
        return held_out(embeddings, embeddings, ALL, SIZE, GRID, seed=0, bank=bank).scored

    alone, with_it, by_it = scored(None), scored(coarse), score_images(embeddings, coarse, GRID, 32)

    np.testing.assert_allclose(
        with_it.squared_distances, np.maximum(alone.squared_distances, by_it.squared_distances)
    )
    np.testing.assert_allclose(with_it.scores, np.maximum(alone.scores, by_it.scores))
    assert (with_it.map_peaks >= np.maximum(alone.map_peaks, by_it.map_peaks) * (1 - 1e-6)).all()
    everything = nameless_bank(embeddings.reshape(-1, DIMS))
    np.testing.assert_array_equal(scored(everything).scores, alone.scores)
