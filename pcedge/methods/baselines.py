"""``fit_baseline`` and ``export_baseline``: fit and export with a method chosen by name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pcedge.core.progress import Progress, silent
from pcedge.fitting.options import FitOptions
from pcedge.fitting.result import FitResult

from .any_bundle import method_for
from .base import OwnBundle
from .registry import find_method


def fit_baseline(
    dataset_path: Path,
    method: str,
    options: FitOptions | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> FitResult[Any]:
    """Fit a method on the good images of a dataset and write the bundle, which becomes current.

    Args:
        dataset_path: Folder of one product, in one of the layouts of ``pcedge.datasets``.
        method: One of ``METHODS``.
        options: Options of the fit. Without ``layers``, the method's own are used; methods without a memory
            bank refuse options of the bank.
        settings: The method's own options by name.
        progress: Progress callback.

    Raises:
        PcedgeError: The fit failed; the message says why and what to do. Nothing was written or changed.
    """
    return find_method(method).fit(dataset_path, options or FitOptions(), settings or {}, progress)


def export_baseline(bundle: OwnBundle, progress: Progress = silent) -> tuple[OwnBundle, float]:
    """Write a bundle's network as ONNX into it and verify that it scores like the reference.

    Returns:
        The bundle, replaced atomically, and the largest difference on the golden frames, as a share of a
        frame's largest score.

    Raises:
        ExportError: The network has operators or shapes that TensorRT does not accept, or its scores differ.
        MissingExtraError: PyTorch or onnx is not installed.
    """
    exported = method_for(bundle).export(bundle, progress)
    return exported.bundle, exported.difference
