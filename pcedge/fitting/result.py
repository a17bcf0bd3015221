"""The result of a fit of any method."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pcedge.bundles.product_bundle import ProductBundle
from pcedge.datasets import LeftOut
from pcedge.errors import WeightsUnavailableError

AnyBundle_co = TypeVar("AnyBundle_co", bound=ProductBundle[Any], covariant=True)


@dataclass(frozen=True)
class FitResult(Generic[AnyBundle_co]):
    """The result of a fit.

    Attributes:
        bundle: The bundle, now the current one.
        seconds: Time taken by each stage.
        outliers: Training images whose held-out score is an extreme outlier, with that score, the worst
            first: look at them, one may show a defect.
        cached: Number of images whose features came from the cache.
        cache_problem: Why the cache was switched off; empty if it was not.
        offline_default: Why ``pcedge-s`` was the default backbone, and how to get the larger one; None if it
            was not.
        left_out: What is in the dataset's folder and not used, by reason.
        dependent: Training images that show the same part, by groups: each group counts as one image.
    """

    bundle: AnyBundle_co
    seconds: dict[str, float]
    outliers: dict[str, float]
    cached: int
    cache_problem: str
    offline_default: WeightsUnavailableError | None
    left_out: tuple[LeftOut, ...] = ()
    dependent: tuple[tuple[str, ...], ...] = ()
