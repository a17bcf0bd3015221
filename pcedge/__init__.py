"""pcedge: PatchCore anomaly detection from a folder of good images to a camera on a production line.

What the command line does, Python can do::

    import pcedge

    result = pcedge.fit(Path("mvtec/bottle"), pcedge.FitOptions(backbone="resnet18"))
    pcedge.export_bundle(result.bundle)
    with pcedge.open_inspector(pcedge.find_bundle()) as inspector:
        inspection = inspector.inspect(image_rgb)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .banks import CoresetSize
    from .baselines import export_baseline, fit_baseline
    from .bundle import Bundle, find_bundle
    from .calibrating import CalibrationOptions, CalibrationResult, calibrate
    from .camera import read_image
    from .certificate import Certificate, write_certificate
    from .datasets import Audit, Dataset, audit, categories, open_dataset
    from .evaluation import Evaluation, evaluate
    from .explanation import Explained, explain
    from .exporting import ExportResult, export_bundle
    from .finetune_options import FinetuneOptions
    from .fit_options import FitOptions
    from .fitting import FitResult, fit
    from .inspector import Inspector
    from .methods import find_any_bundle, open_detector
    from .metrics import Metric
    from .planning import Budget, Plan, PlanOptions, plan
    from .preprocessing import PRESETS, Preprocessing
    from .products import Products
    from .runtimes import Candidate, candidates, open_inspector
    from .teaching import TeachOptions, read_log, rollback, store_examples, teach
    from .triton_repository import write_triton_repository
    from .verifying import Choice, choose_runtime, verify
    from .watching import WatchOptions, watch

# Nothing is imported before it is used: a device has no torch, and `pcedge --help` has no time.
_HOMES = {
    "PRESETS": "preprocessing",
    "Audit": "datasets",
    "Budget": "planning",
    "Bundle": "bundle",
    "CalibrationOptions": "calibrating",
    "CalibrationResult": "calibrating",
    "Candidate": "runtimes",
    "Certificate": "certificate",
    "Choice": "verifying",
    "CoresetSize": "banks",
    "Dataset": "datasets",
    "Evaluation": "evaluation",
    "Explained": "explanation",
    "ExportResult": "exporting",
    "FinetuneOptions": "finetune_options",
    "FitOptions": "fit_options",
    "FitResult": "fitting",
    "Inspector": "inspector",
    "Metric": "metrics",
    "Plan": "planning",
    "PlanOptions": "planning",
    "Preprocessing": "preprocessing",
    "Products": "products",
    "TeachOptions": "teaching",
    "WatchOptions": "watching",
    "audit": "datasets",
    "calibrate": "calibrating",
    "candidates": "runtimes",
    "categories": "datasets",
    "choose_runtime": "verifying",
    "evaluate": "evaluation",
    "explain": "explanation",
    "export_baseline": "baselines",
    "export_bundle": "exporting",
    "find_any_bundle": "methods",
    "find_bundle": "bundle",
    "fit": "fitting",
    "fit_baseline": "baselines",
    "open_dataset": "datasets",
    "open_detector": "methods",
    "open_inspector": "runtimes",
    "plan": "planning",
    "read_image": "camera",
    "read_log": "teaching",
    "rollback": "teaching",
    "store_examples": "teaching",
    "teach": "teaching",
    "verify": "verifying",
    "watch": "watching",
    "write_certificate": "certificate",
    "write_triton_repository": "triton_repository",
}

__all__ = [
    "PRESETS",
    "Audit",
    "Budget",
    "Bundle",
    "CalibrationOptions",
    "CalibrationResult",
    "Candidate",
    "Certificate",
    "Choice",
    "CoresetSize",
    "Dataset",
    "Evaluation",
    "Explained",
    "ExportResult",
    "FinetuneOptions",
    "FitOptions",
    "FitResult",
    "Inspector",
    "Metric",
    "Plan",
    "PlanOptions",
    "Preprocessing",
    "Products",
    "TeachOptions",
    "WatchOptions",
    "audit",
    "calibrate",
    "candidates",
    "categories",
    "choose_runtime",
    "evaluate",
    "explain",
    "export_baseline",
    "export_bundle",
    "find_any_bundle",
    "find_bundle",
    "fit",
    "fit_baseline",
    "open_dataset",
    "open_detector",
    "open_inspector",
    "plan",
    "read_image",
    "read_log",
    "rollback",
    "store_examples",
    "teach",
    "verify",
    "watch",
    "write_certificate",
    "write_triton_repository",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pcedge' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
