"""The staged selection: covers all rows within its stated bound, and is exact where one chunk holds all."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.banks import StagedSelection, greedy_coreset


def _radius(rows: NDArray[Any], chosen: NDArray[Any]) -> float:
    squared = (rows**2).sum(1)[:, None] + (chosen**2).sum(1) - 2 * rows @ chosen.T
    return float(np.sqrt(np.maximum(squared.min(axis=1), 0)).max())


@pytest.mark.parametrize(("chunk", "worse"), [(100, 4.0), (700, 1.5), (3000, 1.25)])
def test_every_row_is_within_the_stated_radius(tmp_path: Path, chunk: int, worse: float) -> None:
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(20, 16)) * 5
    rows = (centres[rng.integers(20, size=3000)] + rng.normal(size=(3000, 16))).astype(np.float32)
    with (tmp_path / "candidates").open("w+b") as file:
        stages = StagedSelection(file, 16, share=0.05, seed=0)
        for start in range(0, len(rows), chunk):
            stages.add(rows[start : start + chunk], start)
        chosen = stages.finish(150)

    np.testing.assert_array_equal(chosen.rows, rows[chosen.numbers])
    assert len(set(chosen.numbers.tolist())) == 150
    exact = greedy_coreset(rows, 150)
    found = _radius(rows, chosen.rows)
    assert found <= chosen.radius * (1 + 1e-4)
    assert found <= worse * exact.radius, "chunks of ten picks cannot know all twenty clusters"


def test_one_chunk_with_every_row_kept_is_exact(tmp_path: Path) -> None:
    rows = np.random.default_rng(5).normal(size=(500, 8)).astype(np.float32)
    with (tmp_path / "candidates").open("w+b") as file:
        stages = StagedSelection(file, 8, share=0.6, seed=0)
        stages.add(rows, 0)
        chosen = stages.finish(300)

    exact = greedy_coreset(rows, 300)
    np.testing.assert_array_equal(chosen.numbers, np.sort(exact.picks))
    assert chosen.radius == pytest.approx(exact.radius)


def test_fewer_candidates_than_asked_for_are_all_taken(tmp_path: Path) -> None:
    rows = np.random.default_rng(5).normal(size=(40, 4)).astype(np.float32)
    with (tmp_path / "candidates").open("w+b") as file:
        stages = StagedSelection(file, 4, share=0.1, seed=0)
        stages.add(rows, 7)

        assert stages.finish(30).numbers.tolist() == sorted(greedy_coreset(rows, 8).picks + 7)
