"""Reports: finished runs as one document, typeset for paper or for a screen."""

from .rules.finding import Finding, Rule
from .rules.findings import findings
from .sections.comparison import comparison_points
from .study import Study, load_study
from .writing import ReportOptions, Written, check_kind, write_report

__all__ = [
    "Finding",
    "ReportOptions",
    "Rule",
    "Study",
    "Written",
    "check_kind",
    "comparison_points",
    "findings",
    "load_study",
    "write_report",
]
