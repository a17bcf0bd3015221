"""Methods that PatchCore is compared with: fitted, measured, exported and watched through the same code.

Each is a folder of its own; none knows another, and PatchCore's modules know none of them.
"""

from .bundle import DETECTOR_FILE, BaselineBundle
from .exporting import export_baseline
from .fitting import BaselineFit, fit_baseline
from .inspector import BaselineInspector, Scores
from .manifest import BaselineManifest
from .method import FitTask, Fitter, Learned, Method, Scorer
from .opening import choose_baseline_runtime, inspect_with, open_baseline_runtime
from .registry import METHODS, find_method
from .settings import parse_settings

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
