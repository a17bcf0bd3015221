"""Exporting bundles of every method."""

from collections.abc import Callable
from typing import Any

from pcedge.bundles.manifest import PATCHCORE
from pcedge.core.progress import Progress, silent
from pcedge.inspection.runtimes import RuntimeKind
from pcedge.methods import AnyBundle, method_for

from .export_bundle import ExportResult, export_bundle

# Of these methods more can be made than the ONNX file: engines, and networks in other precisions. What that
# costs is measured with the evaluation, which methods know nothing of.
FURTHER: dict[str, Callable[..., ExportResult]] = {PATCHCORE: export_bundle}


def export_any(
    bundle: AnyBundle, *, trt: bool = False, progress: Progress = silent
) -> tuple[AnyBundle, dict[RuntimeKind, str]]:
    """Export a bundle for the runtimes that need it.

    Args:
        bundle: Of any method.
        trt: Whether to build a TensorRT engine too, where the method has one.
        progress: Called with the stages of the export.

    Returns:
        The bundle, replaced, and why some runtimes cannot run although they were asked for.

    Raises:
        ExportError: The exported network is invalid, or does not score like the reference.
        MissingExtraError: What the export needs is not installed.
    """
    further: Callable[..., Any] | None = FURTHER.get(bundle.manifest.method)
    if further is None:
        return method_for(bundle).export(bundle, progress).bundle, {}
    result = further(bundle, trt=trt, progress=progress)
    problem = result.engine_problem
    return result.bundle, {"tensorrt": problem.what} if problem else {}
