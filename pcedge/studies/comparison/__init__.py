"""Comparisons: several methods on the same datasets, through the same evaluation."""

from .compare import CompareOptions, compare_methods
from .comparison_page import comparison_markdown
from .entries import (
    COMPARED,
    COMPARISON_CSV,
    COMPARISON_JSON,
    Comparison,
    ComparisonEntry,
    NotRun,
    write_comparison,
)
from .methods import METHODS_FILE, MethodSettings, MethodSpec, choose_methods, read_methods
from .plot import COMPARISON_PLOT, plot_comparison

__all__ = [
    "COMPARED",
    "COMPARISON_CSV",
    "COMPARISON_JSON",
    "COMPARISON_PLOT",
    "METHODS_FILE",
    "CompareOptions",
    "Comparison",
    "ComparisonEntry",
    "MethodSettings",
    "MethodSpec",
    "NotRun",
    "choose_methods",
    "compare_methods",
    "comparison_markdown",
    "plot_comparison",
    "read_methods",
    "write_comparison",
]
