"""The result of a check: state, finding, advice."""

from dataclasses import dataclass
from enum import Enum


class CheckState(str, Enum):
    """The state of a check, from good to bad."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True)
class CheckResult:
    """The result of one check.

    Attributes:
        subject: What was checked, such as ``ONNX Runtime``.
        state: OK; WARN for a possible problem; FAIL for what does not work.
        what: What was found.
        advice: What to do about it; empty if there is nothing to do.
    """

    subject: str
    state: CheckState
    what: str
    advice: str = ""


def ok(subject: str, what: str) -> CheckResult:
    """A result in the state OK."""
    return CheckResult(subject, CheckState.OK, what)


def warn(subject: str, what: str, advice: str) -> CheckResult:
    """A result in the state WARN."""
    return CheckResult(subject, CheckState.WARN, what, advice)


def fail(subject: str, what: str, advice: str) -> CheckResult:
    """A result in the state FAIL."""
    return CheckResult(subject, CheckState.FAIL, what, advice)
