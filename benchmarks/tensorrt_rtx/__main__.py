"""``python -m benchmarks.tensorrt_rtx``: the table of graphs by precision by compute capability."""

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from benchmarks.command import Json, environment, print_json, run
from pcedge.cli.console import err, out
from pcedge.errors import ExportError
from pcedge.export import build_by_rtx, parse_by_rtx, rtx_version

from .graphs import EMBEDDERS, Graph, Unwritten, embedder_graphs, other_graphs
from .page import page

COMPUTE = ("7.5", "8.6", "8.9", "12.0")


def tensorrt_rtx(
    only: Annotated[str, typer.Option(help="Only networks whose name holds this.")] = "",
    markdown: Annotated[
        Path | None, typer.Option("--page", help="Also write the table as this page.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Parse every graph that export writes, strongly typed, and build it for four compute capabilities."""
    rows: list[dict[str, Any]] = []
    for graph in _graphs(only):
        rows.append(_row(graph))
        err.print(f"{graph.name}, {graph.precision}")
    found = {"environment": environment(), "tensorrt_rtx": rtx_version(), "graphs": rows}
    if markdown is not None:
        markdown.write_text(page(found, COMPUTE), encoding="utf-8")
    if json:
        print_json(found)
    else:
        out.print(page(found, COMPUTE), markup=False)


def _graphs(only: str) -> Iterator[Graph | Unwritten]:
    for backbone, size, layers in EMBEDDERS:
        if only in f"{backbone} {size}":
            with TemporaryDirectory() as folder:
                yield from embedder_graphs(backbone, size, layers, Path(folder))
    with TemporaryDirectory() as folder:
        yield from (graph for graph in other_graphs(Path(folder)) if only in graph.name)


def _row(graph: Graph | Unwritten) -> dict[str, Any]:
    if isinstance(graph, Unwritten):
        return {"name": graph.name, "precision": graph.precision, "unwritten": graph.why}
    row: dict[str, Any] = {"name": graph.name, "precision": graph.precision}
    try:
        parsed = parse_by_rtx(graph.path)
    except ExportError as error:
        return row | {"refused": error.what}
    row |= {"layers": parsed.layers, "warnings": list(parsed.warnings), "built": {}}
    for compute in COMPUTE:
        started = time.perf_counter()
        try:
            plan = build_by_rtx(graph.path, graph.inputs, [compute])
        except ExportError as error:
            row["built"][compute] = {"refused": error.what}
            continue
        seconds = time.perf_counter() - started
        row["built"][compute] = {"megabytes": len(plan.content) / 1e6, "seconds": seconds}
        row["warnings"] = sorted({*row["warnings"], *plan.warnings})
    return row


if __name__ == "__main__":
    run(tensorrt_rtx)
