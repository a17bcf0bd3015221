"""The selection for GPUs chooses what the one for CPUs chooses; run here on PyTorch's CPU device."""

import numpy as np
import pytest

from pcedge.banks import greedy_coreset, greedy_coreset_torch


@pytest.mark.parametrize(("n", "count"), [(1, 1), (50, 50), (2000, 300), (3000, 1)])
def test_the_picks_are_those_of_the_cpu(n: int, count: int) -> None:
    rows = np.random.default_rng(3).normal(size=(n, 24)).astype(np.float32)

    found, expected = greedy_coreset_torch(rows, count, "cpu"), greedy_coreset(rows, count)

    np.testing.assert_array_equal(found.picks, expected.picks)
    assert found.radius == pytest.approx(expected.radius, rel=1e-4, abs=1e-3)


def test_repeated_rows_are_picked_once_each() -> None:
    rows = np.repeat(np.random.default_rng(3).normal(size=(10, 5)).astype(np.float32), 4, axis=0)

    coreset = greedy_coreset_torch(rows, 25, "cpu")

    assert len(set(coreset.picks.tolist())) == 25


def test_progress_rises_to_the_count() -> None:
    told: list[tuple[int, int]] = []

    greedy_coreset_torch(
        np.random.default_rng(3).normal(size=(3000, 4)).astype(np.float32),
        2500,
        "cpu",
        lambda *now: told.append(now),
    )

    assert told == [(1024, 2500), (2048, 2500), (2500, 2500)]
