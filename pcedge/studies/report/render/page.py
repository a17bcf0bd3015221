"""The document as one page of HTML with everything in it, for a screen of any width and for paper."""

import base64
import html
import re
from collections.abc import Iterator
from importlib.resources import files

from .document import (
    Block,
    Document,
    Formula,
    Heading,
    ImageGallery,
    Items,
    Note,
    Paragraph,
    Plot,
    Prose,
    Span,
    Table,
    visible,
)
from .pdf import to_mathml

_TYPES = {".svg": "image/svg+xml", ".jpg": "image/jpeg"}
_TAGS = {"strong": "strong", "emphasis": "em", "code": "code"}
_PAGE = """<!doctype html>
<html lang="en-GB">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="{author}">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<header><h1>{title}</h1><p>{subtitle}</p></header>
<section class="summary">
{summary}
</section>
<nav><h2>Contents</h2><ol>
{contents}
</ol></nav>
<main>
{blocks}
</main>
<footer>{author}, {date}</footer>
</body>
</html>
"""


def to_page(document: Document) -> bytes:
    """Write a document as HTML, its images inside; the same document gives the same bytes.

    Raises:
        MissingExtraError: Typst, which turns formulas into MathML, is not installed.
    """
    writer = _Writer(document)
    text = _PAGE.format(
        author=_escape(document.author),
        title=_escape(document.title),
        subtitle=_escape(document.subtitle),
        date=_escape(document.date),
        style=(files("pcedge.studies.report.render") / "page.css").read_text(encoding="utf-8"),
        summary="\n".join(map(writer.block, document.summary)),
        contents="\n".join(_contents(document.blocks)),
        blocks="\n".join(map(writer.block, document.blocks)),
    )
    return text.encode(errors="replace")


def _escape(text: str) -> str:
    return html.escape(visible(text))


def _contents(blocks: tuple[Block, ...]) -> Iterator[str]:
    for block in blocks:
        if isinstance(block, Heading) and block.level == 1:
            yield f'<li><a href="#{_anchor(block)}">{_escape(block.text)}</a></li>'


def _anchor(heading: Heading) -> str:
    return re.sub(r"\W+", "-", heading.text).strip("-").lower()


def _formulas(document: Document) -> list[str]:
    """Every formula once; those on a line of their own begin with a space, as Typst tells them apart."""
    found: dict[str, None] = {}
    for block in (*document.summary, *document.blocks):
        if isinstance(block, Formula):
            found[f" {block.math} "] = None
        for span in _spans(block):
            if span.style == "math":
                found[span.text] = None
    return list(found)


def _spans(block: Block) -> Iterator[Span]:
    if isinstance(block, Paragraph | Note):
        yield from block.spans
    elif isinstance(block, Items):
        for item in block.items:
            yield from item


class _Writer:
    """Turns blocks into HTML; counts tables and figures as they come."""

    def __init__(self, document: Document) -> None:
        formulas = _formulas(document)
        self._math = dict(zip(formulas, to_mathml(formulas), strict=True))
        self._files = document.files
        self._numbers = {"Table": 0, "Figure": 0}

    def block(self, block: Block) -> str:
        """HTML of a block."""
        match block:
            case Heading():
                level = block.level + 1
                return f'<h{level} id="{_anchor(block)}">{_escape(block.text)}</h{level}>'
            case Paragraph() | Note():
                note = ' class="note"' if isinstance(block, Note) else ""
                return f"<p{note}>{self._words(block.spans)}</p>"
            case Items():
                items = "".join(f"<li>{self._words(item)}</li>" for item in block.items)
                return f"<ul{' class=small' if block.small else ''}>{items}</ul>"
            case Formula():
                return f'<div class="formula">{self._math[f" {block.math} "]}</div>'
            case _:
                return self._figure(block)

    def _figure(self, block: Table | Plot | ImageGallery) -> str:
        match block:
            case Table():
                return self._table(block)
            case Plot():
                return self._plot(block)
            case ImageGallery():
                return self._gallery(block)

    def _words(self, spans: Prose) -> str:
        return "".join(map(self._span, spans))

    def _span(self, span: Span) -> str:
        if span.style == "math":
            return self._math[span.text]
        text = _escape(span.text)
        if span.style == "link":
            return f'<a href="{text}">{text}</a>'
        tag = _TAGS.get(span.style)
        return f"<{tag}>{text}</{tag}>" if tag else text

    def _label(self, kind: str) -> str:
        self._numbers[kind] += 1
        return f"<b>{kind} {self._numbers[kind]}.</b>"

    def _table(self, table: Table) -> str:
        head = "".join(
            f"<th{_left(table, column)}>{_escape(text)}</th>" for column, text in enumerate(table.columns)
        )
        rows = []
        for number, row in enumerate(table.rows):
            cells = "".join(
                f"<td{_left(table, column)}>{_escape(text)}</td>" for column, text in enumerate(row)
            )
            rows.append(f"<tr{' class=strong' if number in table.strong else ''}>{cells}</tr>")
        caption = f"<figcaption>{self._label('Table')} {_escape(table.caption)}</figcaption>"
        lines = "\n".join(rows)
        body = f"<table><thead><tr>{head}</tr></thead><tbody>\n{lines}\n</tbody></table>"
        return f'<figure>{caption}<div class="scroll">{body}</div></figure>'

    def _plot(self, plot: Plot) -> str:
        picture = f'<img class="plot" src="{self._inline(plot.file)}" alt="{_escape(plot.alt)}">'
        caption = f"{self._label('Figure')} {_escape(plot.caption)}"
        return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"

    def _gallery(self, gallery: ImageGallery) -> str:
        cards = []
        for card in gallery.cards:
            pictures = "".join(
                f'<img src="{self._inline(file)}" alt="{_escape(card.title)}" loading="lazy">'
                for file in card.files
            )
            words = f"{_escape(card.title)}<br><small>{_escape(card.detail)}</small>"
            cards.append(f"<figure><div>{pictures}</div><figcaption>{words}</figcaption></figure>")
        return f'<p class="caption">{_escape(gallery.caption)}</p>\n<div class="cards">{"".join(cards)}</div>'

    def _inline(self, file: str) -> str:
        kind = _TYPES[file[file.rindex(".") :]]
        return f"data:{kind};base64,{base64.b64encode(self._files[file]).decode()}"


def _left(table: Table, column: int) -> str:
    classes = [
        name for name, chosen in (("left", column in table.left), ("wrap", column in table.wrap)) if chosen
    ]
    return f' class="{" ".join(classes)}"' if classes else ""
