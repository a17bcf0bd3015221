"""Methods that PatchCore is compared with: fitted, measured, exported and watched through the same code.

Each is a folder of its own; none knows another, and PatchCore's modules know none of them.
"""

from .base import FitTask, Fitter, Learned, Method, Scorer
from .common.bundle import DETECTOR_FILE, BaselineBundle
from .common.exporting import export_baseline
from .common.fitting import BaselineFit, fit_baseline
from .common.inspector import BaselineInspector, Scores
from .common.manifest import METHODS, BaselineManifest
from .common.opening import choose_baseline_runtime, inspect_with, open_baseline_runtime
from .common.settings import parse_settings
from .registry import find_method

__all__ = [
    "DETECTOR_FILE",
    "METHODS",
    "BaselineBundle",
    "BaselineFit",
    "BaselineInspector",
    "BaselineManifest",
    "FitTask",
    "Fitter",
    "Learned",
    "Method",
    "Scorer",
    "Scores",
    "choose_baseline_runtime",
    "export_baseline",
    "find_method",
    "fit_baseline",
    "inspect_with",
    "open_baseline_runtime",
    "parse_settings",
]
