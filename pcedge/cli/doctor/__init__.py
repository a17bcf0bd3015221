"""Checks of ``pcedge doctor``: installation, runtimes, cameras, disk, clock, power, bundle."""

from .checks import check_machine
from .finding import CheckResult, CheckState

__all__ = ["CheckResult", "CheckState", "check_machine"]
