"""``pcedge doctor``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcedge.cli.exit_codes import ERROR, PARTLY_DONE
from pcedge.cli.options import common, panels
from pcedge.core.defaults import DEFAULT_MODELS

if TYPE_CHECKING:
    from pcedge.cli.doctor import CheckResult

_COLOURS = {"OK": "green", "WARN": "yellow", "FAIL": "bold red"}


def doctor(
    model: common.Model = None,
    models: common.ModelsDir = DEFAULT_MODELS,
    output: Annotated[
        Path,
        typer.Option(
            help="Where results are to go.",
            rich_help_panel=panels.OUTPUT,
        ),
    ] = Path("inspections"),
    json: common.Json = False,
) -> None:
    """Look at this machine: what is installed, what works, and what to do about what does not.

    Runs a tiny network on every runtime, looks for cameras, checks disk, clock, power and the current bundle.
    Changes nothing. Exits with 0 if all is well, 3 if something may do harm (WARN) and 1 if something does
    not work (FAIL).
    """
    from pcedge.cli.console import err
    from pcedge.cli.doctor import check_machine

    with err.status("Looking at this machine ..."):
        findings = list(check_machine(output, model, models))
    if json:
        from dataclasses import asdict
        from json import dumps

        print(dumps([asdict(finding) for finding in findings], default=str))
    else:
        _print_table(findings)
    states = {finding.state.value for finding in findings}
    if "FAIL" in states:
        raise typer.Exit(ERROR)
    if "WARN" in states:
        raise typer.Exit(PARTLY_DONE)


def _print_table(findings: "Sequence[CheckResult]") -> None:
    from rich.table import Table
    from rich.text import Text

    from pcedge.cli.console import out

    table = Table(title="This machine", title_justify="left", title_style="bold")
    table.add_column("", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("found, and what to do about it", overflow="fold")
    for finding in findings:
        state = finding.state.value
        found = Text(finding.what)
        if finding.advice:
            found.append(f"\n{finding.advice}", style="cyan")
        table.add_row(Text(state, style=_COLOURS[state]), Text(finding.subject), found)
    out.print(table)
