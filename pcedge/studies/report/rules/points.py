"""Points for the discussion: each follows from the numbers of the runs by a fixed, stated rule."""

from collections.abc import Iterator

from ..render.document import Block, Heading, Items, Paragraph, Span, paragraph
from ..report_data import Study
from .point import DiscussionPoint, Rule, point
from .run_rules import RUN_RULES
from .suite_rules import STUDY_RULES


def findings(study: Study) -> list[DiscussionPoint]:
    """All points, the weightiest first."""
    found = [finding for rule in STUDY_RULES for finding in rule(study)]
    for subject in study.subjects:
        for rule in RUN_RULES:
            found += rule(subject)
    return sorted(found, key=lambda finding: -finding.rule.weight)


def discussion(found: list[DiscussionPoint]) -> Iterator[Block]:
    """The points, under the rules they follow from."""
    yield Heading("Discussion")
    if not found:
        yield paragraph("None of the rules by which points are made applies to these numbers.")
        return
    yield paragraph(
        "Each point follows from the numbers by a fixed rule: it is made when what stands in brackets holds."
    )
    by_rule: dict[Rule, list[DiscussionPoint]] = {}
    for finding in found:
        by_rule.setdefault(finding.rule, []).append(finding)
    for rule, points in by_rule.items():
        yield Paragraph((Span(rule.topic, "strong"), Span(f" [{rule.when}]", "emphasis")))
        yield Items(tuple(map(point, points)))
