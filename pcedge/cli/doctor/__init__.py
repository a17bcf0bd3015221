"""Doctor: looks at a machine and says what would keep an inspection from running well, and what to do."""

from .checks import check_machine
from .finding import CheckResult, CheckState

__all__ = ["CheckResult", "CheckState", "check_machine"]
