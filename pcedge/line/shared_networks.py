"""Loaded networks: bundles with the same embedder share one, whatever their banks and thresholds are."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from threading import RLock

import numpy as np

from pcedge.export import Runtime
from pcedge.inspection.detector import AnyDetector
from pcedge.inspection.runtimes import Candidate
from pcedge.methods.any_bundle import AnyBundle, detector_of, network_digest, open_network

from .runtime_choice import Choose

OpenNetwork = Callable[[AnyBundle, Candidate], Runtime]


@dataclass(frozen=True, eq=False)
class LoadedBundle:
    """A bundle, ready to judge.

    Attributes:
        bundle: In the precision that is used.
        inspector: Judges its images.
        key: The same for those that share a network.
        device: Where that runs.
    """

    bundle: AnyBundle
    inspector: AnyDetector
    key: str
    device: str


class SharedNetworks:
    """Opens every network once, and closes it when told that nobody uses it any more.

    Args:
        choose: Says which runtime a bundle runs on; raises a ``PcedgeError`` if none will do.
        open_network: How a bundle's network is opened.
    """

    def __init__(self, choose: Choose, open_network: OpenNetwork = open_network) -> None:
        self._choose = choose
        self._open_network = open_network
        self._runtimes: dict[str, Runtime] = {}
        # One at a time: two who load bundles with one network would open it twice.
        self._loading = RLock()

    @property
    def names(self) -> tuple[str, ...]:
        """What runs the networks, one name for each that is loaded."""
        return tuple(runtime.name for runtime in self._runtimes.values())

    def load(
        self, bundle: AnyBundle, *, threshold: float | None = None, review: float | bool | None = None
    ) -> LoadedBundle:
        """Load what a bundle needs and warm it up.

        Args:
            bundle: The bundle.
            threshold: Used instead of the bundle's own.
            review: A score above which images are REVIEW, True for the bundle's own; None or False for no
                REVIEW.

        Raises:
            PcedgeError: It cannot be used here; its network stays loaded until ``close_unused``.
        """
        with self._loading:
            chosen = self._choose(bundle)
            bundle = bundle.in_precision(chosen.precision)
            key = f"{chosen} {network_digest(bundle, chosen)} {bundle.manifest.preprocessing}"
            fresh = key not in self._runtimes
            if fresh:
                self._runtimes[key] = self._open_network(bundle, chosen).__enter__()
            own = bundle.manifest.threshold.review
            lower = own if review is True else None if review is False else review
            inspector = detector_of(bundle, self._runtimes[key], threshold=threshold, review=lower)
            inspector.prepare()
            if fresh:  # others are judging on one that is shared, and a runtime takes one call at a time
                warm_up(inspector)
            return LoadedBundle(bundle, inspector, key, chosen.device)

    def close_unused(self, used: Collection[str] = ()) -> None:
        """Close all networks but those with these keys."""
        with self._loading:
            for key in [key for key in self._runtimes if key not in used]:
                self._runtimes.pop(key).__exit__(None, None, None)


def warm_up(inspector: AnyDetector) -> None:
    """Run once before the first frame: a runtime's first call is slow."""
    size = inspector.preprocessing.input_size
    inspector.inspect(np.zeros((size, size, 3), np.uint8))
