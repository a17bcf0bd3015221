"""Trials: categories fitted and evaluated, and compared with published results and between runtimes."""

from pcedge.evaluation.reference.published import (
    TOLERANCES,
    Difference,
    Published,
    differences,
    means,
    paper_means,
    published_for,
    read_results,
)

from .compare_runtimes import RuntimeResults, measure
from .dataset_facts import data_digest, data_facts
from .ensemble import combine
from .options import TrialOptions, parse_runtimes, request_digest
from .outcome import Outcome, run_one
from .record import Circumstances
from .runner import find_categories, run_campaign
from .summary import SUMMARY_CSV, SUMMARY_JSON, summary_of, write_summary
from .trial import evaluate_bundle, fit_and_evaluate

__all__ = [
    "SUMMARY_CSV",
    "SUMMARY_JSON",
    "TOLERANCES",
    "Circumstances",
    "Difference",
    "Outcome",
    "Published",
    "RuntimeResults",
    "TrialOptions",
    "combine",
    "data_digest",
    "data_facts",
    "differences",
    "evaluate_bundle",
    "find_categories",
    "fit_and_evaluate",
    "means",
    "measure",
    "paper_means",
    "parse_runtimes",
    "published_for",
    "read_results",
    "request_digest",
    "run_campaign",
    "run_one",
    "summary_of",
    "write_summary",
]
