"""``python -m benchmarks.house``.

``--at REVISION`` measures an earlier revision beside the working tree, from a copy by ``git archive``.
"""

import ast
import subprocess
import tarfile
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from ..card import replace_results
from ..command import Card, Json, print_json, run
from .imports import circles
from .words import words

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("pcedge", "banks", "camera", "export")
BEGIN = "<!-- results: filled by python -m benchmarks.house ... --card docs/results/house.md -->"
LARGEST = 5


def house(
    at: Annotated[list[str] | None, typer.Option(help="A revision of git to measure too.")] = None,
    root: Annotated[Path, typer.Option(help="The checkout to measure.")] = ROOT,
    card: Card = None,
    json: Json = False,
) -> None:
    """Measure size and shape of the code."""
    found = {revision: _measured_at(root, revision) for revision in at or []}
    found["working tree"] = measure(root)
    if json:
        print_json(found)
    elif card is None:
        print("\n".join(table(found)))
    if card is not None:
        replace_results(card, table(found), BEGIN)


def _measured_at(root: Path, revision: str) -> dict[str, Any]:
    archive = subprocess.run(
        ["git", "-C", str(root), "archive", revision], capture_output=True, check=True
    ).stdout
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
        return measure(Path(folder))


def measure(root: Path) -> dict[str, Any]:
    """Measure a checkout."""
    modules = {path: ast.parse(path.read_text(encoding="utf-8")) for path in _modules(root)}
    lines = {_name(root, path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules}
    largest = max(lines, key=lambda name: (lines[name], name))
    twice = _names_with_two_meanings({_name(root, path): tree for path, tree in modules.items()})
    return {
        "packages": sum(path.name == "__init__.py" for path in modules),
        "modules": len(modules),
        "lines": sum(lines.values()),
        "entries": _entries(root),
        "circles": circles(root, FOLDERS),
        "largest_module": {"name": largest, "lines": lines[largest]},
        "median_function_lines": median(_function_lengths(modules.values())),
        "names_with_two_meanings": twice,
        "readme_words": words((root / "README.md").read_text(encoding="utf-8")),
    }


def table(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What was measured, a column for each revision, in Markdown."""
    yield f"| | {' | '.join(found)} |"
    yield "|---|" + "---|" * len(found)
    columns = list(found.values())
    for title, show in _ROWS.items():
        yield f"| {title} | {' | '.join(show(one) for one in columns)} |"


def _largest_levels(one: Mapping[str, Any]) -> str:
    shown = list(one["entries"].items())[:LARGEST]
    return ", ".join(f"{level} {count}" for level, count in shown)


def _largest_module(one: Mapping[str, Any]) -> str:
    return f"{one['largest_module']['name']}, {one['largest_module']['lines']} lines"


_ROWS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "entries a level, the largest five": _largest_levels,
    "import circles (modules in them)": lambda one: (
        f"{len(one['circles'])} ({sum(map(len, one['circles']))})"
    ),
    "largest module": _largest_module,
    "median function, lines": lambda one: f"{one['median_function_lines']:g}",
    "class names with two or more meanings": lambda one: str(len(one["names_with_two_meanings"])),
    "words of the README": lambda one: f"{one['readme_words']:,}",
    "packages": lambda one: str(one["packages"]),
    "modules": lambda one: str(one["modules"]),
    "lines": lambda one: f"{one['lines']:,}",
}


def _modules(root: Path) -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (root / folder).rglob("*.py"))


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _entries(root: Path) -> dict[str, int]:
    """Modules and packages directly in each folder, the largest first."""
    count: Counter[str] = Counter()
    for path in _modules(root):
        if path.name == "__init__.py":
            count[_name(root, path.parent.parent)] += path.parent.name not in FOLDERS
        elif not path.name.startswith("__"):
            count[_name(root, path.parent)] += 1
    return {level: number for level, number in count.most_common() if level != "."}


def _function_lengths(trees: Iterable[ast.Module]) -> list[int]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [
        (node.end_lineno or node.lineno) - node.lineno + 1
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, kinds)
    ]


def _names_with_two_meanings(trees: Mapping[str, ast.Module]) -> dict[str, list[str]]:
    """Class names that more than one module defines, leading underscores aside."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for name, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                places[node.name.lstrip("_")].append(name)
    return {name: found for name, found in sorted(places.items()) if len(set(found)) > 1}


if __name__ == "__main__":
    run(house)
