"""Anomaly detection methods: each is a folder and a line in the registry.

All are fitted, evaluated, exported and watched through the same code, and are independent of each other.
PatchCore is the main method; the others are baselines to compare with.
"""

from .any_bundle import (
    detector_of,
    find_any_bundle,
    method_for,
    network_digest,
    open_any_bundle,
    open_detector,
    open_network,
)
from .base import AnyBundle, AnyMethod, ChosenRuntime, Exported, Method, MethodFacts
from .baselines import export_baseline, fit_baseline
from .common.bundle import DETECTOR_FILE, BaselineBundle
from .common.fitter import FitTask, Fitter, Learned, Scorer
from .common.inspector import BaselineInspector, Scores
from .common.manifest import BaselineManifest
from .common.network_method import NetworkMethod
from .common.settings import parse_settings
from .registry import METHODS, find_method

__all__ = [
    "DETECTOR_FILE",
    "METHODS",
    "AnyBundle",
    "AnyMethod",
    "BaselineBundle",
    "BaselineInspector",
    "BaselineManifest",
    "ChosenRuntime",
    "Exported",
    "FitTask",
    "Fitter",
    "Learned",
    "Method",
    "MethodFacts",
    "NetworkMethod",
    "Scorer",
    "Scores",
    "detector_of",
    "export_baseline",
    "find_any_bundle",
    "find_method",
    "fit_baseline",
    "method_for",
    "network_digest",
    "open_any_bundle",
    "open_detector",
    "open_network",
    "parse_settings",
]
