"""Held-out scores after rows were added: never too low, and nearly always what scoring again gives."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.banks import CoresetSize
from pcedge.bundles.bundle import Bundle, edit_bundle, seal
from pcedge.core.preprocessing import Preprocessing
from pcedge.errors import BundleError
from pcedge.thresholds.calibration_data import CALIBRATION_FILE, HeldOutEvidence, read_evidence
from pcedge.thresholds.cross_validation import (
    HeldOut,
    ImageScores,
    held_out,
    nameless_bank,
    patches_kept,
    score_images,
)

GRID, DIMS, SIZE, IMAGES = (6, 6), 5, 64, 12
NAMES = tuple(f"good/{number}.png" for number in range(IMAGES))


def _embeddings(seed: int = 0, images: int = IMAGES) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(images, 36, DIMS)).astype(np.float32)


def _evidence(
    embeddings: NDArray[np.float32], rows: NDArray[np.float32], *, neighbours: int = 1, keep: int = 8
) -> HeldOutEvidence:
    scored = score_images(embeddings, nameless_bank(rows), GRID, SIZE, neighbours, keep=keep)
    return _of(scored)


def _of(scored: ImageScores) -> HeldOutEvidence:
    digests = {"good/a.png": "0" * 40}
    return HeldOutEvidence(NAMES, NAMES, HeldOut(scored, 1), GRID, SIZE, digests)


@pytest.mark.parametrize("keep", [1, 4, 8, 36])
@pytest.mark.parametrize("added", [1, 7, 200])
def test_after_adding_no_score_is_below_scoring_again(keep: int, added: int) -> None:
    embeddings = _embeddings()
    bank = _embeddings(1, 3).reshape(-1, DIMS)
    new = _embeddings(2, 6).reshape(-1, DIMS)[:added]
    again = score_images(embeddings, nameless_bank(np.concatenate([bank, new])), GRID, SIZE)
    before = _evidence(embeddings, bank, keep=keep)

    after = before.after_adding(new)

    assert (after.scores >= again.scores * (1 - 1e-6)).all()
    assert (after.map_peaks >= again.map_peaks * (1 - 1e-5)).all()
    assert (after.scores <= before.scores).all()
    assert (after.map_peaks <= before.map_peaks).all()
    if keep == 36:  # every patch can be looked up, so nothing is a bound
        np.testing.assert_allclose(after.scores, again.scores, rtol=1e-5)
        np.testing.assert_allclose(after.map_peaks, again.map_peaks, rtol=1e-5)


def test_a_lesson_near_the_farthest_patches_is_accounted_for_exactly() -> None:
    embeddings = _embeddings()
    bank = _embeddings(1, 3).reshape(-1, DIMS)
    before = _evidence(embeddings, bank)
    scored = before.held_out.scored
    lesson = scored.embeddings[3, :3] + np.float32(0.01)
    again = score_images(embeddings, nameless_bank(np.concatenate([bank, lesson])), GRID, SIZE)

    after = before.after_adding(lesson)

    np.testing.assert_allclose(after.scores, again.scores, rtol=1e-5)
    assert after.scores[3] < before.scores[3]


def test_two_lessons_are_one() -> None:
    bank, new = _embeddings(1, 3).reshape(-1, DIMS), _embeddings(2, 1).reshape(-1, DIMS)
    before = _evidence(_embeddings(), bank)

    at_once, in_steps = before.after_adding(new), before.after_adding(new[:9]).after_adding(new[9:])

    np.testing.assert_array_equal(at_once.scores, in_steps.scores)
    np.testing.assert_array_equal(at_once.map_peaks, in_steps.map_peaks)
    assert before.after_adding(new[:0]) is before


def test_reweighted_scores_keep_their_weight() -> None:
    bank, new = _embeddings(1, 3).reshape(-1, DIMS), _embeddings(2, 6).reshape(-1, DIMS)
    before = _evidence(_embeddings(), bank, neighbours=3, keep=36)

    after = before.after_adding(new)

    farthest = after.held_out.scored.squared_distances.max(axis=1)
    was = before.held_out.scored.squared_distances.max(axis=1)
    np.testing.assert_allclose(after.scores / farthest, before.scores / was, rtol=1e-5)


def test_images_of_a_lesson_can_be_left_out() -> None:
    before = _evidence(_embeddings(), _embeddings(1, 3).reshape(-1, DIMS))

    rest = before.without({NAMES[0], NAMES[5]})

    assert rest.names == tuple(name for name in NAMES if name not in {NAMES[0], NAMES[5]})
    np.testing.assert_array_equal(rest.scores, np.delete(before.scores, [0, 5]))
    assert rest.groups == rest.names


def test_folds_keep_the_evidence_of_every_image_in_its_place() -> None:
    embeddings = _embeddings()

    found = held_out(
        embeddings, embeddings, CoresetSize(fraction=1), Preprocessing(SIZE), GRID, seed=0
    ).scored

    np.testing.assert_allclose(found.squared_distances.max(axis=1), found.scores)
    for image, patches in enumerate(found.farthest):
        np.testing.assert_array_equal(found.embeddings[image], embeddings[image][patches])
        assert found.squared_distances[image, patches[0]] == found.scores[image]


@pytest.mark.parametrize(
    ("images", "patches", "dims", "kept"),
    [(4, 9, 5, 9), (200, 784, 384, 16), (209, 784, 1024, 9), (10_000, 784, 1024, 1)],
)
def test_large_sets_keep_fewer_patches_an_image(images: int, patches: int, dims: int, kept: int) -> None:
    assert patches_kept(images, patches, dims) == kept


def test_written_and_read_again_it_is_the_same(tmp_path: Path, make_bundle: Callable[..., Bundle]) -> None:
    bundle = make_bundle(tmp_path / "part")
    assert read_evidence(bundle) is None  # made before it was kept
    before = _evidence(_embeddings(), _embeddings(1, 3).reshape(-1, DIMS))

    with edit_bundle(bundle) as staging:
        before.write(staging)
        before.write(staging)
        sealed = seal(staging, bundle.manifest)
    after = read_evidence(Bundle(bundle.directory, sealed))

    assert after is not None
    assert (after.names, after.groups, after.learned) == (before.names, before.groups, before.learned)
    assert (after.grid_hw, after.map_size, after.held_out.folds) == (GRID, SIZE, 1)
    for name in ImageScores.__dataclass_fields__:
        np.testing.assert_array_equal(
            getattr(after.held_out.scored, name), getattr(before.held_out.scored, name)
        )


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04"])
def test_a_file_that_is_something_else_is_an_error_that_names_it(
    tmp_path: Path, make_bundle: Callable[..., Bundle], content: bytes
) -> None:
    bundle = make_bundle(tmp_path / "part")
    with edit_bundle(bundle) as staging:
        (staging / CALIBRATION_FILE).write_bytes(content)
        sealed = seal(staging, msgspec.structs.replace(bundle.manifest))

    with pytest.raises(BundleError, match=CALIBRATION_FILE):
        read_evidence(Bundle(bundle.directory, sealed))
