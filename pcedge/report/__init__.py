"""Reports: finished runs as one document, typeset for paper or for a screen."""

from .finding import Finding, Rule
from .findings import findings
from .study import Study, load_study
from .writing import ReportOptions, Written, write_report

__all__ = [
    "Finding",
    "ReportOptions",
    "Rule",
    "Study",
    "Written",
    "findings",
    "load_study",
    "write_report",
]
