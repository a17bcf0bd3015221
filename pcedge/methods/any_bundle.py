"""Opening bundles of any method: the only place that looks up a manifest's method."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pcedge.bundles.bundle import locate_bundle
from pcedge.bundles.manifest import Precision, method_of
from pcedge.core.defaults import DEFAULT_MODELS
from pcedge.errors import BundleError
from pcedge.export import Runtime
from pcedge.inspection.detector import AnyDetector
from pcedge.inspection.runtimes import Candidate, RuntimeKind

from .base import AnyBundle, AnyMethod
from .registry import METHODS, find_method


def open_any_bundle(directory: Path) -> AnyBundle:
    """Open a bundle of any method.

    Raises:
        BundleError: It cannot be read, or is of a method that this version does not know.
    """
    name = method_of(directory)
    if name not in METHODS:
        raise BundleError(
            f"{directory} was fitted by {name!r}, which this version does not know.",
            "Update it with: pip install --upgrade pcedge",
        )
    bundle: AnyBundle = find_method(name).open_bundle(directory)
    return bundle


def find_any_bundle(model: str | None = None, models: Path = DEFAULT_MODELS) -> AnyBundle:
    """Open a bundle by directory, by name below ``models``, or the current one.

    Raises:
        BundleError: There is none; the message names the command that makes one.
    """
    return open_any_bundle(locate_bundle(model, models))


def method_for(bundle: AnyBundle) -> AnyMethod:
    """The method that a bundle was fitted with."""
    return find_method(bundle.manifest.method)


@contextmanager
def open_detector(
    bundle: AnyBundle,
    *,
    runtime: RuntimeKind = "auto",
    device: str = "auto",
    precision: Precision | None = None,
    threshold: float | None = None,
    review: bool = False,
) -> Iterator[AnyDetector]:
    """Open the detector of a bundle, as ``open_inspector`` does for PatchCore.

    Args:
        bundle: An opened bundle.
        runtime: ``auto`` takes a TensorRT engine if one was built, otherwise the ONNX file.
        device: Device of the runtime.
        precision: Precision of the network; None for the bundle's.
        threshold: Overrides the bundle's threshold.
        review: Whether scores above the bundle's second threshold are REVIEW.

    Raises:
        BundleError: A file is missing or changed, or the bundle was not exported.
        PcedgeError: The runtime is not installed or cannot load the file.
    """
    if precision is not None:
        bundle = bundle.in_precision(precision)
    with open_network(bundle, Candidate(runtime, device)) as opened:
        lower = bundle.manifest.threshold.review if review else None
        yield detector_of(bundle, opened, threshold=threshold, review=lower)


def open_network(bundle: AnyBundle, chosen: Candidate) -> Runtime:
    """Load a bundle's network, after checking its files."""
    return method_for(bundle).open_network(bundle, chosen.runtime, chosen.device)


def network_digest(bundle: AnyBundle, chosen: Candidate) -> str:
    """Digest of what ``open_network`` loads: bundles with the same digest may share a runtime."""
    return method_for(bundle).network_digest(bundle, chosen.runtime)


def detector_of(
    bundle: AnyBundle,
    runtime: Runtime,
    *,
    threshold: float | None = None,
    review: float | None = None,
) -> AnyDetector:
    """The detector of a bundle on a runtime with its network; see :class:`Method`."""
    return method_for(bundle).detector(bundle, runtime, threshold=threshold, review=review)
