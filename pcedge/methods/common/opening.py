"""Opening a baseline's bundle: choose a runtime, load the network, make the inspector."""

from pcedge.bundles.product_bundle import not_exported
from pcedge.errors import OptionError
from pcedge.export import OnnxRuntime, Runtime, onnx_devices, torch_device
from pcedge.inspection.runtimes import Candidate, RuntimeKind, runtime_kind

from .bundle import DETECTOR_FILE, BaselineBundle
from .fitter import NetworkParts
from .golden import require_parity
from .inspector import BaselineInspector

# What runs the network of such a method, beside ``auto``; the others of ``RUNTIMES`` are PatchCore's alone.
NETWORK_RUNTIMES = ("onnx", "torch")


def open_network_of(
    method: NetworkParts, bundle: BaselineBundle, kind: RuntimeKind = "auto", device: str = "auto"
) -> Runtime:
    """Load a bundle's network, after checking every file of the bundle.

    Args:
        method: The bundle's method.
        bundle: The bundle.
        kind: ``auto`` for the ONNX file.
        device: Device.

    Raises:
        BundleError: A file is missing or changed, or the bundle was not exported.
        OptionError: There is no such runtime, or it runs no network of this method.
        PcedgeError: The runtime is not installed or cannot load the file.
    """
    _check_runtime(method, bundle, kind)
    bundle.check()
    if kind == "torch":
        return method.reference(bundle, device)
    if not bundle.is_exported:
        raise not_exported(bundle)
    return OnnxRuntime(bundle.file(DETECTOR_FILE), device)


def _check_runtime(method: NetworkParts, bundle: BaselineBundle, kind: RuntimeKind) -> None:
    if runtime_kind(kind) not in ("auto", *NETWORK_RUNTIMES):
        raise OptionError(
            f"The runtime {kind} runs only bundles of PatchCore, and {bundle.directory} is of {method.name}.",
            f"Choose one of: auto, {', '.join(NETWORK_RUNTIMES)}.",
        )


def inspect_with(
    method: NetworkParts,
    bundle: BaselineBundle,
    runtime: Runtime,
    *,
    threshold: float | None = None,
    review: float | None = None,
) -> BaselineInspector:
    """The inspector of a bundle on an opened runtime."""
    scorer = method.scorer(bundle)
    return BaselineInspector(runtime, scorer, bundle.manifest, threshold=threshold, review=review)


def choose_network_runtime(
    method: NetworkParts, bundle: BaselineBundle, kind: RuntimeKind, device: str, *, verified: bool
) -> Candidate:
    """Choose the runtime of a bundle, verified on its golden frames unless unverified is requested.

    Raises:
        ExportError: It does not score like the reference on this machine.
        PcedgeError: It cannot be opened.
    """
    if device == "auto":
        device = torch_device() if kind == "torch" else onnx_devices()[0]
    chosen = Candidate("onnx" if kind == "auto" else kind, device)
    with open_network_of(method, bundle, chosen.runtime, chosen.device) as runtime:
        if verified:
            require_parity(bundle, inspect_with(method, bundle, runtime))
    return chosen
