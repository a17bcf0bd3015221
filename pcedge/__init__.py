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
    from pcedge.adaptation.recalibrate import CalibrationOptions, CalibrationResult, calibrate
    from pcedge.adaptation.teaching import TeachOptions, read_log, rollback, store_examples, teach
    from pcedge.banks import CoresetSize
    from pcedge.bundles.bundle import Bundle, find_bundle
    from pcedge.camera import read_image
    from pcedge.core.preprocessing import PRESETS, Preprocessing
    from pcedge.datasets import Audit, Dataset, audit, categories, open_dataset
    from pcedge.deployment.exporting.export_bundle import ExportResult, export_bundle
    from pcedge.deployment.triton.repository import write_triton_repository
    from pcedge.evaluation.evaluate import Evaluation, evaluate
    from pcedge.evaluation.metrics import Metric
    from pcedge.fitting.fit import fit
    from pcedge.fitting.options import FitOptions
    from pcedge.fitting.result import FitResult
    from pcedge.inspection.explain import Explained, explain
    from pcedge.inspection.patchcore_detector import Inspector
    from pcedge.inspection.runtimes import Candidate, candidates, open_inspector
    from pcedge.inspection.verification.certificate import Certificate, write_certificate
    from pcedge.inspection.verification.verify import Choice, choose_runtime, verify
    from pcedge.line.products import Products
    from pcedge.line.watch import WatchOptions, watch
    from pcedge.methods import export_baseline, find_any_bundle, fit_baseline, open_detector
    from pcedge.networks.finetuning.options import FinetuneOptions
    from pcedge.studies.planning import Budget, Plan, PlanOptions, plan

# Nothing is imported before it is used: a device has no torch, and `pcedge --help` has no time.
_HOMES = {
    "PRESETS": "core.preprocessing",
    "Audit": "datasets",
    "Budget": "studies.planning",
    "Bundle": "bundles.bundle",
    "CalibrationOptions": "adaptation.recalibrate",
    "CalibrationResult": "adaptation.recalibrate",
    "Candidate": "inspection.runtimes",
    "Certificate": "inspection.verification.certificate",
    "Choice": "inspection.verification.verify",
    "CoresetSize": "banks",
    "Dataset": "datasets",
    "Evaluation": "evaluation.evaluate",
    "Explained": "inspection.explain",
    "ExportResult": "deployment.exporting.export_bundle",
    "FinetuneOptions": "networks.finetuning.options",
    "FitOptions": "fitting.options",
    "FitResult": "fitting.result",
    "Inspector": "inspection.patchcore_detector",
    "Metric": "evaluation.metrics",
    "Plan": "studies.planning",
    "PlanOptions": "studies.planning",
    "Preprocessing": "core.preprocessing",
    "Products": "line.products",
    "TeachOptions": "adaptation.teaching",
    "WatchOptions": "line.watch",
    "audit": "datasets",
    "calibrate": "adaptation.recalibrate",
    "candidates": "inspection.runtimes",
    "categories": "datasets",
    "choose_runtime": "inspection.verification.verify",
    "evaluate": "evaluation.evaluate",
    "explain": "inspection.explain",
    "export_baseline": "methods",
    "export_bundle": "deployment.exporting.export_bundle",
    "find_any_bundle": "methods",
    "find_bundle": "bundles.bundle",
    "fit": "fitting.fit",
    "fit_baseline": "methods",
    "open_dataset": "datasets",
    "open_detector": "methods",
    "open_inspector": "inspection.runtimes",
    "plan": "studies.planning",
    "read_image": "camera",
    "read_log": "adaptation.teaching",
    "rollback": "adaptation.teaching",
    "store_examples": "adaptation.teaching",
    "teach": "adaptation.teaching",
    "verify": "inspection.verification.verify",
    "watch": "line.watch",
    "write_certificate": "inspection.verification.certificate",
    "write_triton_repository": "deployment.triton.repository",
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
