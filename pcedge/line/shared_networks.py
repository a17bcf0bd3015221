"""Loaded networks, shared by bundles with the same embedder."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from threading import RLock

import numpy as np

from pcedge.export import Runtime
from pcedge.inspection.detector import AnyDetector
from pcedge.inspection.runtimes import Candidate
from pcedge.methods import AnyBundle, detector_of, network_digest, open_network

from .runtime_choice import Choose

OpenNetwork = Callable[[AnyBundle, Candidate], Runtime]


@dataclass(frozen=True, eq=False)
class LoadedBundle:
    """A bundle, ready to judge.

    Attributes:
        bundle: The bundle, in the precision in use.
        inspector: Judges its images.
        key: Key of the network; equal for bundles that share it.
        device: Device of the network.
    """

    bundle: AnyBundle
    inspector: AnyDetector
    key: str
    device: str


class SharedNetworks:
    """Opens every network once, and closes unused ones on request.

    Args:
        choose: Function that chooses the runtime of a bundle; raises a ``PcedgeError`` if none is usable.
        open_network: Function that opens a bundle's network.
    """

    def __init__(self, choose: Choose, open_network: OpenNetwork = open_network) -> None:
        self._choose = choose
        self._open_network = open_network
        self._runtimes: dict[str, Runtime] = {}
        # One at a time: two threads that load bundles with one network would open it twice.
        self._loading = RLock()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the runtimes, one per loaded network."""
        return tuple(runtime.name for runtime in self._runtimes.values())

    def load(
        self, bundle: AnyBundle, *, threshold: float | None = None, review: float | bool | None = None
    ) -> LoadedBundle:
        """Load a bundle and its network, and warm up.

        Args:
            bundle: The bundle.
            threshold: Overrides the bundle's threshold.
            review: Score above which images are REVIEW, True for the bundle's own; None or False for no
                REVIEW.

        Raises:
            PcedgeError: The bundle cannot be used here; its network stays loaded until ``close_unused``.
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
            if fresh:  # other threads may use a shared network, and a runtime takes one call at a time
                warm_up(inspector)
            return LoadedBundle(bundle, inspector, key, chosen.device)

    def close_unused(self, used: Collection[str] = ()) -> None:
        """Close all networks except those with these keys."""
        with self._loading:
            for key in [key for key in self._runtimes if key not in used]:
                self._runtimes.pop(key).__exit__(None, None, None)


def warm_up(inspector: AnyDetector) -> None:
    """Run once before the first frame, since a runtime's first call is slow."""
    size = inspector.preprocessing.input_size
    inspector.inspect(np.zeros((size, size, 3), np.uint8))
