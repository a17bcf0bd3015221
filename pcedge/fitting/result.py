"""What a fit gives, whatever the method."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pcedge.bundles.product_bundle import ProductBundle
from pcedge.errors import WeightsUnavailableError

AnyBundle_co = TypeVar("AnyBundle_co", bound=ProductBundle[Any], covariant=True)


@dataclass(frozen=True)
class FitResult(Generic[AnyBundle_co]):
    """What a fit made.

    Attributes:
        bundle: The bundle, now the current one.
        seconds: Time taken by each stage.
        outliers: Training images whose held-out score stands far out, the worst first, with that score: look
            at them, one may show a defect.
        cached: Images whose features came from the cache.
        cache_problem: Why the cache could not be used to the end; empty otherwise.
        offline_default: Why no backbone being named led to ``pcedge-s``, and how to get the larger one; None
            if it did not.
    """

    bundle: AnyBundle_co
    seconds: dict[str, float]
    outliers: dict[str, float]
    cached: int
    cache_problem: str
    offline_default: WeightsUnavailableError | None
