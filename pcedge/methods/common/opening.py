"""Opening the bundle of a baseline: what runs its network here, and the inspector that results."""

from pcedge.errors import BundleError, MissingExtraError, OptionError
from pcedge.export import OnnxRuntime, Runtime, TorchRuntime, onnx_devices, torch_device
from pcedge.inspection.runtimes import Candidate, RuntimeKind
from pcedge.methods.registry import find_method

from .bundle import DETECTOR_FILE, BaselineBundle
from .golden import require_parity
from .inspector import BaselineInspector


def open_baseline_runtime(
    bundle: BaselineBundle, kind: RuntimeKind = "auto", device: str = "auto"
) -> Runtime:
    """Load a bundle's network; every file of the bundle is checked first.

    Args:
        bundle: The bundle.
        kind: ``auto`` for the ONNX file.
        device: Where it runs.

    Raises:
        BundleError: A file is missing or changed, or the bundle was not exported.
        PcedgeError: The runtime is not installed or cannot load the file.
    """
    bundle.check()
    if kind == "torch":
        return _torch(bundle, device)
    _refuse_tensorrt(bundle, kind)
    if not bundle.is_exported:
        raise BundleError(
            f"The bundle {bundle.directory} has not been exported.",
            f"Run: pcedge export --model {bundle.directory}",
        )
    return OnnxRuntime(bundle.file(DETECTOR_FILE), device)


def inspect_with(
    bundle: BaselineBundle,
    runtime: Runtime,
    *,
    threshold: float | None = None,
    review: float | None = None,
) -> BaselineInspector:
    """The inspector of a bundle on a runtime that was opened for it."""
    scorer = find_method(bundle.manifest.method).scorer(bundle)
    return BaselineInspector(runtime, scorer, bundle.manifest, threshold=threshold, review=review)


def choose_baseline_runtime(
    bundle: BaselineBundle, kind: RuntimeKind = "auto", device: str = "auto", *, verified: bool = True
) -> Candidate:
    """Say what is to run a bundle here, proved on its golden frames unless that is not wanted.

    Raises:
        ExportError: It does not score like the reference on this machine.
        PcedgeError: It cannot be opened.
    """
    if kind == "torch":
        chosen = Candidate("torch", torch_device() if device == "auto" else device)
    else:
        _refuse_tensorrt(bundle, kind)
        chosen = Candidate("onnx", onnx_devices()[0] if device == "auto" else device)
    with open_baseline_runtime(bundle, chosen.runtime, chosen.device) as runtime:
        if verified:
            require_parity(bundle, inspect_with(bundle, runtime))
    return chosen


def _refuse_tensorrt(bundle: BaselineBundle, kind: RuntimeKind) -> None:
    if kind == "tensorrt":
        raise OptionError(
            f"There are TensorRT engines for PatchCore alone, and {bundle.directory} is of "
            f"{bundle.manifest.method}.",
            "Use --runtime onnx.",
        )


def _torch(bundle: BaselineBundle, device: str) -> Runtime:
    try:
        import torch  # noqa: F401 (a missing torch must be found before anything is read)
    except ImportError:
        raise MissingExtraError("torch", "fit", "The torch runtime") from None
    return TorchRuntime(find_method(bundle.manifest.method).module(bundle), device)
