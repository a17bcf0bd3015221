"""Exporting a baseline: its network as ONNX, proved on the golden frames."""

from pcedge.bundles.bundle import edit_bundle, seal
from pcedge.core.progress import Progress, silent
from pcedge.errors import MissingExtraError
from pcedge.export import OnnxRuntime, check_operators, fixed_shapes
from pcedge.methods.registry import find_method

from .bundle import DETECTOR_FILE, BaselineBundle
from .golden import require_parity
from .opening import inspect_with


def export_baseline(bundle: BaselineBundle, progress: Progress = silent) -> tuple[BaselineBundle, float]:
    """Write a baseline's network as ONNX into its bundle and prove that it scores like the reference.

    Returns:
        The bundle, replaced whole or not at all, and the largest difference on the golden frames, as a share
        of a frame's largest score.

    Raises:
        ExportError: The network has operators or shapes that TensorRT does not accept, or scores otherwise.
        MissingExtraError: PyTorch or onnx is not installed.
    """
    try:
        import torch  # noqa: F401 (only whether it is there)
    except ImportError:
        raise MissingExtraError("torch", "fit", "Exporting") from None
    with edit_bundle(bundle) as staging:
        progress("export", 0, 2)
        path = staging / DETECTOR_FILE
        path.unlink(missing_ok=True)
        find_method(bundle.manifest.method).write_onnx(bundle, path)
        check_operators(path)
        fixed_shapes(path, batch=1)
        progress("export", 1, 2)
        with OnnxRuntime(path, "cpu") as runtime:
            difference = require_parity(bundle, inspect_with(bundle, runtime))
        manifest = seal(staging, bundle.manifest)
    progress("export", 2, 2)
    return BaselineBundle(bundle.directory, manifest), difference
