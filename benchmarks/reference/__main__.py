"""``python -m benchmarks.reference``."""

from pathlib import Path
from typing import Annotated

import typer

from ..command import run
from .commands import command_page, exit_code_page
from .tables import line_page, schema_page

DOCS = Path(__file__).resolve().parents[2] / "docs" / "reference"
PAGES = {
    "commands.md": command_page,
    "exit-codes.md": exit_code_page,
    "line-toml.md": line_page,
    "schemas.md": schema_page,
}


def pages() -> dict[str, str]:
    """Every generated page by the name of its file."""
    return {name: "\n".join(lines()).rstrip() + "\n" for name, lines in PAGES.items()}


def reference(
    docs: Annotated[Path, typer.Option(help="The folder of the pages.")] = DOCS,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 1 if one differs.")
    ] = False,
) -> None:
    """Generate the reference pages of the documentation from the code."""
    differing = [name for name, text in pages().items() if _read(docs / name) != text]
    if check and differing:
        print(f"Out of date: {', '.join(differing)}. Write them with: python -m benchmarks.reference")
        raise SystemExit(1)
    for name in [] if check else differing:
        (docs / name).write_text(pages()[name], encoding="utf-8")
        print(f"Wrote {docs / name}")


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


if __name__ == "__main__":
    run(reference)
