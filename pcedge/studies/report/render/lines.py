"""Many lines of one kind, of which a report shows the first."""

from collections.abc import Iterator

from ..report_data import Subject
from .document import Block, Items, Prose, Span, paragraph, shortened

# More are looked up in the runs' files, not read in a report.
_MOST = 12


def lines(found: list[tuple[Subject, str]], title: str, otherwise: str) -> Iterator[Block]:
    """A list under ``title``, or the words for none."""
    if not found:
        yield paragraph(otherwise)
        return
    yield paragraph(title)
    shown: list[Prose] = [
        (Span(f"{subject.label}: ", "strong"), Span(shortened(text, 220))) for subject, text in found[:_MOST]
    ]
    if len(found) > _MOST:
        shown.append((Span(f"and {len(found) - _MOST:,} more, in the runs' files.", "emphasis"),))
    yield Items(tuple(shown), small=True)
