"""What a check comes to."""

from dataclasses import dataclass
from enum import Enum


class State(str, Enum):
    """How good it is; the order is from good to bad."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: What it is about, such as ``ONNX Runtime``.
        state: OK, WARN for what may do harm, FAIL for what keeps something from working.
        what: What was found.
        advice: What to do about it; empty where there is nothing to do.
    """

    subject: str
    state: State
    what: str
    advice: str = ""


def ok(subject: str, what: str) -> Finding:
    """All is well."""
    return Finding(subject, State.OK, what)


def warn(subject: str, what: str, advice: str) -> Finding:
    """It may do harm."""
    return Finding(subject, State.WARN, what, advice)


def fail(subject: str, what: str, advice: str) -> Finding:
    """It keeps something from working."""
    return Finding(subject, State.FAIL, what, advice)
