"""A point for the discussion, and the rule it follows from."""

from dataclasses import dataclass

from ..render.document import Prose, Span, shortened


@dataclass(frozen=True)
class Rule:
    """When a point is made.

    Attributes:
        topic: What it is about, as a heading.
        when: What must hold for the point to be made.
        weight: Larger ones come first, and into the summary.
    """

    topic: str
    when: str
    weight: int


@dataclass(frozen=True)
class DiscussionPoint:
    """A point.

    Attributes:
        rule: It follows from.
        spans: Its words.
        subject: The label of the run it is about; empty for all.
    """

    rule: Rule
    spans: Prose
    subject: str = ""


def point(finding: DiscussionPoint) -> Prose:
    """The point, after the run that it is about."""
    if not finding.subject:
        return finding.spans
    return (Span(f"{shortened(finding.subject, 40)}: ", "strong"), *finding.spans)
