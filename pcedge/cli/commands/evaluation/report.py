"""``pcedge report``."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcedge.cli.options import common, panels
from pcedge.cli.options.given import refuse

if TYPE_CHECKING:
    from pcedge.studies.report import Written


class Paper(str, Enum):
    """Paper sizes."""

    A4 = "a4"
    LETTER = "letter"


def report(
    ctx: typer.Context,
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUNS...",
            help=(
                "Runs of suite or evaluate: their directories, or a directory that holds several, such as "
                "runs/official-224."
            ),
            show_default=False,
        ),
    ],
    pictures: Annotated[
        int | None,
        typer.Option(
            help="How many misses and false rejects to show of each category, and half as many clear cases "
            "(without it, 6; with four categories or more, 4).",
            min=1,
            max=8,
            show_default=False,
            rich_help_panel=panels.DATA,
        ),
    ] = None,
    beside: Annotated[
        Path | None,
        typer.Option(
            help="A CSV file (tool, dataset, image_auroc, ...) of other tools' results to show beside.",
            show_default=False,
            rich_help_panel=panels.DATA,
        ),
    ] = None,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="The report: a .pdf, or a .html with everything inside.",
            rich_help_panel=panels.OUTPUT,
        ),
    ] = Path("report.pdf"),
    paper: Annotated[
        Paper,
        typer.Option(
            help="Size of the PDF's pages.",
            rich_help_panel=panels.OUTPUT,
        ),
    ] = Paper.A4,
    title: Annotated[
        str,
        typer.Option(
            help="Title of the report, instead of one that names the categories.",
            show_default=False,
            rich_help_panel=panels.OUTPUT,
        ),
    ] = "",
    json: common.Json = False,
) -> None:
    """Make a document from finished runs: data, method, results, curves, images, discussion.

    [bold]pcedge suite mvtec[/] leaves runs in runs/official-224;
    [bold]pcedge report runs/official-224 -o report.pdf[/] turns them
    into something to hand to a colleague. The worst misses and the worst
    false rejects come first, results stand beside the published ones, and
    versions and digests say how to do it again. The same runs give the
    same document.
    """
    from pcedge.cli.console import progress_bars
    from pcedge.studies.report import ReportOptions, write_report

    if output.suffix.lower() == ".html":
        refuse(ctx, ("paper",), "on a page in HTML", "Leave it out, or name a .pdf with --output.")
    asked = ReportOptions(paper=paper.value, title=title, pictures=pictures, beside=beside)
    with progress_bars() as progress:
        written = write_report(runs, output, asked, progress)
    if json:
        _print_json(written)
    else:
        _print_result(written)


def _print_json(written: "Written") -> None:
    import json

    print(json.dumps(written.to_dict(), allow_nan=False))


def _print_result(written: "Written") -> None:
    from pcedge.cli.console import say

    say(
        "Written to [bold]{output}[/]: {title}, {size} MB.",
        output=written.output,
        title=written.document.title,
        size=f"{written.size / 1e6:.1f}",
    )
    for name, reason in written.study.failed:
        say("[yellow]Without results:[/] {name}: {reason}", name=name, reason=reason)
