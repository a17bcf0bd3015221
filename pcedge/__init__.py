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
    from pcedge.adaptation.calibrating import CalibrationOptions, CalibrationResult, calibrate
    from pcedge.adaptation.teaching import TeachOptions, read_log, rollback, store_examples, teach
    from pcedge.banks import CoresetSize
    from pcedge.bundles.bundle import Bundle, find_bundle
    from pcedge.camera import read_image
    from pcedge.core.preprocessing import PRESETS, Preprocessing
    from pcedge.datasets import Audit, Dataset, audit, categories, open_dataset
    from pcedge.deployment.exporting.exporting import ExportResult, export_bundle
    from pcedge.deployment.triton.triton_repository import write_triton_repository
    from pcedge.evaluation.evaluation import Evaluation, evaluate
    from pcedge.evaluation.metrics import Metric
    from pcedge.fitting.fit_options import FitOptions
    from pcedge.fitting.fitting import FitResult, fit
    from pcedge.inspection.explanation import Explained, explain
    from pcedge.inspection.inspector import Inspector
    from pcedge.inspection.runtimes import Candidate, candidates, open_inspector
    from pcedge.inspection.verification.certificate import Certificate, write_certificate
    from pcedge.inspection.verification.verifying import Choice, choose_runtime, verify
    from pcedge.line.products import Products
    from pcedge.line.watching import WatchOptions, watch
    from pcedge.methods import export_baseline, fit_baseline
    from pcedge.methods.methods import find_any_bundle, open_detector
    from pcedge.networks.finetuning.finetune_options import FinetuneOptions
    from pcedge.studies.planning import Budget, Plan, PlanOptions, plan

# Nothing is imported before it is used: a device has no torch, and `pcedge --help` has no time.
_HOMES = {
    "PRESETS": "core.preprocessing",
    "Audit": "datasets",
    "Budget": "studies.planning",
    "Bundle": "bundles.bundle",
    "CalibrationOptions": "adaptation.calibrating",
    "CalibrationResult": "adaptation.calibrating",
    "Candidate": "inspection.runtimes",
    "Certificate": "inspection.verification.certificate",
    "Choice": "inspection.verification.verifying",
    "CoresetSize": "banks",
    "Dataset": "datasets",
    "Evaluation": "evaluation.evaluation",
    "Explained": "inspection.explanation",
    "ExportResult": "deployment.exporting.exporting",
    "FinetuneOptions": "networks.finetuning.finetune_options",
    "FitOptions": "fitting.fit_options",
    "FitResult": "fitting.fitting",
    "Inspector": "inspection.inspector",
    "Metric": "evaluation.metrics",
    "Plan": "studies.planning",
    "PlanOptions": "studies.planning",
    "Preprocessing": "core.preprocessing",
    "Products": "line.products",
    "TeachOptions": "adaptation.teaching",
    "WatchOptions": "line.watching",
    "audit": "datasets",
    "calibrate": "adaptation.calibrating",
    "candidates": "inspection.runtimes",
    "categories": "datasets",
    "choose_runtime": "inspection.verification.verifying",
    "evaluate": "evaluation.evaluation",
    "explain": "inspection.explanation",
    "export_baseline": "methods",
    "export_bundle": "deployment.exporting.exporting",
    "find_any_bundle": "methods.methods",
    "find_bundle": "bundles.bundle",
    "fit": "fitting.fitting",
    "fit_baseline": "methods",
    "open_dataset": "datasets",
    "open_detector": "methods.methods",
    "open_inspector": "inspection.runtimes",
    "plan": "studies.planning",
    "read_image": "camera",
    "read_log": "adaptation.teaching",
    "rollback": "adaptation.teaching",
    "store_examples": "adaptation.teaching",
    "teach": "adaptation.teaching",
    "verify": "inspection.verification.verifying",
    "watch": "line.watching",
    "write_certificate": "inspection.verification.certificate",
    "write_triton_repository": "deployment.triton.triton_repository",
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
