"""Every method's bundles through one door: only here a manifest's method decides what is opened."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from pcedge.bundles.bundle import BACKBONE_FILE, EMBEDDER_FILE, Bundle, locate_bundle
from pcedge.bundles.manifest import PATCHCORE, Precision, method_of
from pcedge.core.defaults import DEFAULT_MODELS
from pcedge.errors import BundleError
from pcedge.export import Runtime
from pcedge.inspection.detector import AnyDetector
from pcedge.inspection.patchcore_detector import Inspector
from pcedge.inspection.region_explanation import open_pictures
from pcedge.inspection.runtimes import Candidate, RuntimeKind, is_exported, open_runtime

from . import BaselineBundle, inspect_with, open_baseline_runtime

AnyBundle = Bundle | BaselineBundle


def open_any_bundle(directory: Path) -> AnyBundle:
    """Open a bundle, whatever its method.

    Raises:
        BundleError: It cannot be read, or is of a method that this version does not know.
    """
    if method_of(directory) == PATCHCORE:
        return Bundle.open(directory)
    return BaselineBundle.open(directory)


def find_any_bundle(model: str | None = None, models: Path = DEFAULT_MODELS) -> AnyBundle:
    """Open the named bundle (a directory, or a name below ``models``), or the current one.

    Raises:
        BundleError: There is none, with the command that makes one.
    """
    return open_any_bundle(locate_bundle(model, models))


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
    """Load what a bundle needs to judge images, as ``open_inspector`` does for PatchCore.

    Args:
        bundle: An opened bundle.
        runtime: ``auto`` takes a TensorRT engine where one was built, otherwise the ONNX file.
        device: Where the runtime runs.
        precision: Of the network; None for the bundle's.
        threshold: Used instead of the bundle's own.
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
    """Load a bundle's network; the files it is loaded from are checked first."""
    if isinstance(bundle, BaselineBundle):
        return open_baseline_runtime(bundle, chosen.runtime, chosen.device)
    return open_runtime(bundle, chosen.runtime, chosen.device)


def network_digest(bundle: AnyBundle, chosen: Candidate) -> str:
    """Digest of what ``open_network`` loads: bundles in which it is the same may share a runtime.

    A baseline's network may hold what was learned of one product, in files beside it: all of them count.
    """
    if isinstance(bundle, BaselineBundle):
        files = sorted((name, info.sha256) for name, info in bundle.manifest.files.items())
        return sha256(repr(files).encode()).hexdigest()
    name = BACKBONE_FILE if chosen.runtime == "torch" else EMBEDDER_FILE
    if not bundle.has(name):
        raise BundleError(f"The bundle {bundle.directory} has no {name}.", "Fit or export it again.")
    return bundle.manifest.files[name].sha256


def detector_of(
    bundle: AnyBundle,
    runtime: Runtime,
    *,
    threshold: float | None = None,
    review: float | None = None,
) -> AnyDetector:
    """What judges images of a bundle on a runtime that holds its network.

    Args:
        bundle: The bundle.
        runtime: From ``open_network``.
        threshold: Used instead of the bundle's own.
        review: Scores above it are REVIEW; None for no REVIEW.
    """
    if isinstance(bundle, BaselineBundle):
        return inspect_with(bundle, runtime, threshold=threshold, review=review)
    return Inspector.of(
        bundle.manifest,
        runtime,
        bundle.open_bank(),
        threshold=threshold,
        review=review,
        pictures=open_pictures(bundle),
    )


def has_exported_network(bundle: AnyBundle) -> bool:
    """Whether a bundle has a network that runs without PyTorch."""
    return bundle.is_exported if isinstance(bundle, BaselineBundle) else is_exported(bundle)
