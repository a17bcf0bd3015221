"""Which modules import each other in a circle."""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path


def circles(root: Path, folders: Sequence[str]) -> list[list[str]]:
    """Groups of modules of which each imports the others, directly or not; imports in functions count too.

    ``export/`` is imported as ``pcedge.export``, and so on.
    """
    paths = {_module(root, path): path for folder in folders for path in (root / folder).rglob("*.py")}
    graph = {name: set(_imported(path, name, paths)) - {name} for name, path in paths.items()}
    reached = {name: _reachable(graph, name) for name in graph}
    groups = {
        tuple(sorted(other for other in reached[name] if name in reached[other]))
        for name in graph
        if name in reached[name]
    }
    return sorted(map(list, groups))


def _module(root: Path, path: Path) -> str:
    parts = list(path.relative_to(root).with_suffix("").parts)
    if parts[0] != "pcedge":
        parts.insert(0, "pcedge")
    return ".".join(parts).removesuffix(".__init__")


def _imported(path: Path, name: str, known: dict[str, Path]) -> Iterator[str]:
    own = name.split(".")
    package = own if path.name == "__init__.py" else own[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *(node.module or "").split(".")]).strip(".")
            found = {f"{base}.{alias.name}" for alias in node.names} & known.keys()
            yield from found or {base} & known.keys()


def _reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += graph[name]
    return seen
