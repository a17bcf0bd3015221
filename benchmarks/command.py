"""What the commands share: options, printing, errors in words, and where a number was measured."""

import json
import os
import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from pcedge.cli.console import err, out, show_error
from pcedge.errors import PcedgeError

Json = Annotated[bool, typer.Option("--json", help="Print machine-readable JSON instead of a table.")]
Seed = Annotated[int, typer.Option(help="Of everything random.", min=0)]
Card = Annotated[
    Path | None,
    typer.Option(
        help="A Markdown file whose section between the two results marks is replaced by these results.",
        show_default=False,
    ),
]

_LIBRARIES = ("pcedge", "numpy", "torch")


def run(command: Callable[..., None]) -> None:
    """Run one command; an error meant for the user becomes words and exit code 1."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    try:
        app()
    except PcedgeError as error:
        show_error(error)
        raise SystemExit(1) from None


def environment() -> dict[str, Any]:
    """Return what a time depends on: versions, processors, threads, and how busy the machine is."""
    import torch

    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    if load is not None and load > (os.cpu_count() or 1) / 2:
        err.print(f"[yellow]The machine is busy (load average {load}):[/] the ratios below may be far off.")
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
        "machine": platform.machine(),
        "cpu_count": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "load_average": load,
    }


def print_json(result: Mapping[str, Any]) -> None:
    """Print a result as one JSON document."""
    print(json.dumps(result, indent=2))


def facts(title: str) -> Table:
    """Return an empty table of names and values."""
    table = Table(title=title, show_header=False, title_justify="left", title_style="bold")
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def print_environment(found: Mapping[str, Any]) -> None:
    """Print what :func:`environment` found."""
    table = facts("Measured on")
    table.add_row("versions", ", ".join(f"{name} {number}" for name, number in found["versions"].items()))
    table.add_row("processors", f"{found['cpu_count']} ({found['machine']})")
    table.add_row("load average", f"{found['load_average']} before the run")
    out.print(table)
