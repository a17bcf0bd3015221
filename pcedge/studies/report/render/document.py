"""A document as values: what a report says, apart from how it is typeset.

Names and messages that came with the data are plain text everywhere here. Neither writer reads markup in
them: the page escapes them, and the typesetter is handed the document as data.
"""

import re
from typing import Literal

import msgspec

Style = Literal["", "strong", "emphasis", "code", "math", "link"]
_MARKS: dict[str, Style] = {"*": "strong", "_": "emphasis", "`": "code", "$": "math"}
_MARKED = re.compile(r"(\*[^*]+\*|(?<!\w)_[^_]+_(?!\w)|`[^`]+`|\$[^$]+\$)")


class Span(msgspec.Struct, frozen=True):
    """Some words in one style; ``math`` is a formula in Typst's notation, never text from data."""

    text: str
    style: Style = ""


Prose = tuple[Span, ...]


class Heading(msgspec.Struct, frozen=True, tag="heading"):
    """A heading of level 1 or 2; ``page`` starts a new page."""

    text: str
    level: int = 1
    page: bool = False


class Paragraph(msgspec.Struct, frozen=True, tag="paragraph"):
    """A paragraph."""

    spans: Prose


class Note(msgspec.Struct, frozen=True, tag="note"):
    """Something that readers must not overlook, set apart."""

    spans: Prose


class Items(msgspec.Struct, frozen=True, tag="items"):
    """A list; ``small`` for what is looked up rather than read."""

    items: tuple[Prose, ...]
    small: bool = False


class Formula(msgspec.Struct, frozen=True, tag="formula"):
    """A formula on a line of its own, in Typst's notation."""

    math: str


class Table(msgspec.Struct, frozen=True, tag="table"):
    """A table.

    Attributes:
        caption: What it shows.
        columns: Their headings.
        rows: Text of the cells.
        left: Columns of words, set flush left; the others are numbers.
        strong: Rows set in bold, such as that of the means.
        wrap: Columns that share what width is left, their words broken into lines.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: tuple[int, ...] = (0,)
    strong: tuple[int, ...] = ()
    wrap: tuple[int, ...] = ()


class Plot(msgspec.Struct, frozen=True, tag="plot"):
    """A drawing: ``file`` is the name of an SVG among the document's files; ``alt`` says what it shows."""

    file: str
    caption: str
    alt: str


class Card(msgspec.Struct, frozen=True):
    """Pictures of one part side by side, and two lines below them."""

    files: tuple[str, ...]
    title: str
    detail: str


class ImageGallery(msgspec.Struct, frozen=True, tag="gallery"):
    """Cards in rows under a line that says what they are."""

    caption: str
    cards: tuple[Card, ...]


Block = Heading | Paragraph | Note | Items | Formula | Table | Plot | ImageGallery


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """All of it.

    Attributes:
        title: On the first page, and of the file.
        subtitle: Below it.
        author: What made the document.
        date: Of the newest run, ``2026-01-31``.
        summary: The answer in short, on the first page.
        blocks: The rest.
        files: Images by name.
    """

    title: str
    subtitle: str
    author: str
    date: str
    summary: tuple[Block, ...]
    blocks: tuple[Block, ...]
    files: dict[str, bytes]


def prose(text: str, **values: object) -> Prose:
    """Words with ``*strong*``, ``_emphasised_``, ```code``` and ``$math$`` parts.

    Values replace ``{name}`` after the marks were read, so that nothing in them is taken for a mark.
    """
    spans = []
    for part in filter(None, _MARKED.split(text)):
        style = _MARKS.get(part[0], "") if _MARKED.fullmatch(part) else ""
        words = part[1:-1] if style else part
        spans.append(Span(words if style == "math" else words.format(**values), style))
    return tuple(spans)


def paragraph(text: str, **values: object) -> Paragraph:
    """A paragraph of :func:`prose`."""
    return Paragraph(prose(text, **values))


def shortened(text: str, length: int) -> str:
    """The visible text if it is short, otherwise its start and end."""
    seen = visible(text)
    if len(seen) <= length:
        return seen
    tail = length // 2
    return f"{seen[: length - tail - 1]}…{seen[-tail:]}"


def visible(text: str) -> str:
    """The text without characters that cannot be seen, or that turn the others round."""
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() else "\N{REPLACEMENT CHARACTER}"
