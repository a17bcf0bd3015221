"""What a check comes to."""

from dataclasses import dataclass
from enum import Enum


class CheckState(str, Enum):
    """How good it is; the order is from good to bad."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True)
class CheckResult:
    """One thing that was looked at.

    Attributes:
        subject: What it is about, such as ``ONNX Runtime``.
        state: OK, WARN for what may do harm, FAIL for what keeps something from working.
        what: What was found.
        advice: What to do about it; empty where there is nothing to do.
    """

    subject: str
    state: CheckState
    what: str
    advice: str = ""


def ok(subject: str, what: str) -> CheckResult:
    """All is well."""
    return CheckResult(subject, CheckState.OK, what)


def warn(subject: str, what: str, advice: str) -> CheckResult:
    """It may do harm."""
    return CheckResult(subject, CheckState.WARN, what, advice)


def fail(subject: str, what: str, advice: str) -> CheckResult:
    """It keeps something from working."""
    return CheckResult(subject, CheckState.FAIL, what, advice)
