"""``pcedge demo``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcedge.cli.options import common, panels
from pcedge.core.defaults import DEFAULT_DEMO
from pcedge.errors import MissingExtraError

if TYPE_CHECKING:
    from pcedge.cli.demo_line import DemoResult


def demo(
    output: Annotated[
        Path,
        typer.Option(
            help="Where everything goes.",
            rich_help_panel=panels.OUTPUT,
        ),
    ] = DEFAULT_DEMO,
    json: common.Json = False,
) -> None:
    """Take a made-up production line through fit, export, evaluate and watch, offline.

    Leaves heatmaps and a contact sheet to look at. The backbone is pcedge-s, which comes with pcedge.
    """
    from pcedge.cli.console import progress_bars

    try:
        from pcedge.cli.demo_line import run_demo
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "torch", "fit,cpu", "The demo") from None
    with progress_bars() as progress:
        result = run_demo(output, progress)
    if json:
        _print_json(result)
    else:
        _print_summary(result)


def _print_json(result: "DemoResult") -> None:
    import json

    print(
        json.dumps(
            {
                "bundle": str(result.exported.bundle.directory),
                "evaluation": result.evaluation.to_dict(),
                "watched": {v.value: n for v, n in result.watched.verdicts.items()},
                "page": str(result.page),
                "sheet": str(result.sheet),
                "inspections": str(result.inspections),
            }
        )
    )


def _print_summary(result: "DemoResult") -> None:
    from pcedge.cli.console import out, say

    from ..evaluation.evaluate import evaluation_table
    from .live_view import summary_table

    out.print(evaluation_table(result.evaluation, "the rendered line"))
    out.print(summary_table(result.watched, "Watched the synthetic camera"))
    say("Look at [bold]{page}[/], or at {sheet}.", page=result.page, sheet=result.sheet)
    say("Heatmaps of what was flagged: {place}/pictures", place=result.inspections)
    say(
        "The backbone is pcedge-s, which comes with pcedge; with a larger one: "
        "pcedge fit {line} --backbone wide_resnet50_2",
        line=result.page.parent / "line",
    )
