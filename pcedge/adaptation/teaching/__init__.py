"""Teach-in: what new good images bring is added to the bank, with an audit log and a way back."""

from .lesson import teach
from .lesson_log import LogEntry, Offered, read_log
from .options import DEFAULT_GROWTH, Limits, TeachOptions, TeachResult
from .rollback import rollback
from .storing import store_examples

__all__ = [
    "DEFAULT_GROWTH",
    "Limits",
    "LogEntry",
    "Offered",
    "TeachOptions",
    "TeachResult",
    "read_log",
    "rollback",
    "store_examples",
    "teach",
]
