"""A point for the discussion, and the rule it follows from."""

from dataclasses import dataclass

from .document import Prose, Span, shortened


@dataclass(frozen=True)
class Finding:
    """A point and the rule it follows from.

    Attributes:
        subject: The run it is about; empty for all.
        spans: The point.
        rule: When it is made.
        weight: Larger ones come first, and into the summary.
    """

    subject: str
    spans: Prose
    rule: str
    weight: int


def point(finding: Finding) -> Prose:
    """The point, after the run that it is about."""
    if not finding.subject:
        return finding.spans
    return (Span(f"{shortened(finding.subject, 40)}: ", "strong"), *finding.spans)
