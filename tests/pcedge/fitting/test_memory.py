"""The memory plan: exact where it fits, stages where it must, and a refusal that names what is enough."""

import re

import pytest

from pcedge.banks import CoresetSize
from pcedge.errors import OptionError
from pcedge.fitting.memory import MIN_CHUNK_IMAGES, plan_memory

PERCENT = CoresetSize(fraction=0.01)


def test_a_small_dataset_is_fitted_exactly() -> None:
    assert plan_memory(180, 784, 1024, PERCENT, memory_gb=1).exact


def test_a_large_one_is_fitted_in_stages_of_a_size_that_fits() -> None:
    plan = plan_memory(20_000, 784, 444, PERCENT, memory_gb=1)

    assert not plan.exact
    assert plan.chunk_images is not None
    assert plan.chunk_images >= MIN_CHUNK_IMAGES
    assert plan.chunk_images * 784 * 444 * 4 < plan.budget


def test_a_hundred_thousand_images_fit_into_eight_gigabytes() -> None:
    assert not plan_memory(100_000, 784, 1024, CoresetSize(count=100_000), memory_gb=4).exact


@pytest.mark.parametrize(
    ("images", "dims", "size", "budget_gb"),
    [
        (200, 1024, PERCENT, 0.1),
        (20_000, 1024, CoresetSize(fraction=0.1), 1.0),
        (20_000, 384, PERCENT, 0.3),
        (10, 64, CoresetSize(fraction=1.0), 0.0),
    ],
)
def test_the_smallest_budget_that_is_named_is_enough_and_less_is_not(
    images: int, dims: int, size: CoresetSize, budget_gb: float
) -> None:
    with pytest.raises(OptionError, match="does not fit") as caught:
        plan_memory(images, 784, dims, size, budget_gb)
    named = re.search(r"--memory-gb ([\d.]*\d)", caught.value.hint)
    assert named is not None
    smallest = float(named[1])

    plan_memory(images, 784, dims, size, smallest)
    with pytest.raises(OptionError):
        plan_memory(images, 784, dims, size, smallest - 0.02)


def test_without_a_budget_a_share_of_what_is_free_is_used() -> None:
    assert plan_memory(10, 784, 64, PERCENT).budget > 10**8
