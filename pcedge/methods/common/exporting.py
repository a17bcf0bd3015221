"""Exporting a method's network to ONNX, verified on the golden frames."""

from pcedge.bundles.bundle import edit_bundle, seal
from pcedge.core.progress import Progress
from pcedge.errors import MissingExtraError
from pcedge.export import OnnxRuntime, check_operators, fixed_shapes
from pcedge.methods.base import Exported

from .bundle import DETECTOR_FILE, BaselineBundle
from .fitter import NetworkParts
from .golden import require_parity
from .opening import inspect_with


def export_network(
    method: NetworkParts, bundle: BaselineBundle, progress: Progress
) -> Exported[BaselineBundle]:
    """Write a bundle's network as ONNX into it and verify that it scores like the reference.

    Raises:
        ExportError: The network has operators or shapes that TensorRT does not accept, or its scores differ;
            the bundle is unchanged.
        MissingExtraError: PyTorch or onnx is not installed.
    """
    with edit_bundle(bundle) as staging:
        progress("export", 0, 2)
        path = staging / DETECTOR_FILE
        path.unlink(missing_ok=True)
        try:
            method.write_onnx(bundle, path)
        except ModuleNotFoundError as error:
            raise MissingExtraError(error.name or "torch", "fit", "Exporting") from None
        check_operators(path)
        fixed_shapes(path, batch=1)
        progress("export", 1, 2)
        with OnnxRuntime(path, "cpu") as runtime:
            difference = require_parity(bundle, inspect_with(method, bundle, runtime))
        manifest = seal(staging, bundle.manifest)
    progress("export", 2, 2)
    return Exported(BaselineBundle(bundle.directory, manifest), DETECTOR_FILE, difference)
