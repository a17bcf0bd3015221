"""The budget planner: so many milliseconds, so many megabytes, on this device; which bundle is best."""

from .candidates import available_backbones, bundle_candidates, candidates
from .faults import FAULTS, pasted
from .planner import PlanOptions, plan
from .plot import plot_plan
from .points import Budget, Plan, PlanPoint, best, front, nearest
from .separation import separation_dataset

__all__ = [
    "FAULTS",
    "Budget",
    "Plan",
    "PlanOptions",
    "PlanPoint",
    "available_backbones",
    "best",
    "bundle_candidates",
    "candidates",
    "front",
    "nearest",
    "pasted",
    "plan",
    "plot_plan",
    "separation_dataset",
]
