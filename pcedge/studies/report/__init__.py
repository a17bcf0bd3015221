"""Reports: finished runs as one document, typeset for paper or for a screen."""

from .report_data import Study, load_study
from .rules.point import DiscussionPoint, Rule
from .rules.points import findings
from .sections.comparison import comparison_points
from .write_report import ReportOptions, Written, check_kind, write_report

__all__ = [
    "DiscussionPoint",
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
