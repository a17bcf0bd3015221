"""The document as a PDF, typeset by Typst."""

import re
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import msgspec

from pcedge.errors import MissingExtraError, ReportError

from .document import Document, visible

Paper = Literal["a4", "letter"]
_MAIN = "main.typ"
# A word longer than a digest.
_ENDLESS = re.compile(r"\S{66,}")
_PAPER = {"a4": "a4", "letter": "us-letter"}


def to_pdf(document: Document, paper: Paper = "a4") -> bytes:
    """Typeset a document; the same document gives the same bytes.

    All text reaches Typst as data, in a JSON file beside the template: nothing in it can be an instruction.

    Raises:
        MissingExtraError: Typst is not installed.
        ReportError: An image cannot be used.
    """
    try:
        import typst
    except ModuleNotFoundError:
        raise MissingExtraError("typst", "report", "A report") from None
    content = msgspec.structs.asdict(document) | {"files": None, "paper": _PAPER[paper]}
    sources = {
        _MAIN: (files("pcedge.studies.report.render") / "template.typ").read_bytes(),
        "document.json": msgspec.json.encode(_printable(msgspec.to_builtins(content))),
        **document.files,
    }
    with tempfile.TemporaryDirectory(prefix="pcedge-report-") as folder:
        for name, source in sources.items():
            (Path(folder) / name).write_bytes(source)
        try:
            return bytes(typst.compile(Path(folder) / _MAIN, root=Path(folder), format="pdf"))
        except RuntimeError as error:  # which the typesetter's own errors are
            raise ReportError(f"The document could not be typeset ({error}).") from error


def _printable(value: Any) -> Any:
    """Plain values whose texts can be set: visible, and with places where endless words may be broken."""
    if isinstance(value, dict):
        return {name: _printable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(item) for item in value]
    return _ENDLESS.sub(_breakable, visible(value)) if isinstance(value, str) else value


def _breakable(word: re.Match[str]) -> str:
    return "\N{ZERO WIDTH SPACE}".join(word[0][start : start + 30] for start in range(0, len(word[0]), 30))


def to_mathml(formulas: list[str]) -> list[str]:
    """Formulas in Typst's notation as MathML; those that start with a space stand on a line of their own.

    Raises:
        MissingExtraError: Typst is not installed.
    """
    try:
        import typst
    except ModuleNotFoundError:
        raise MissingExtraError("typst", "report", "A report") from None
    if not formulas:
        return []
    page = "\n\n".join(f"${formula}$" for formula in formulas)
    made = bytes(typst.compile(page.encode(), format="html")).decode()
    end = "</math>"
    return [f"<math{part.partition('<math')[2]}{end}" for part in made.split(end)[:-1]]
