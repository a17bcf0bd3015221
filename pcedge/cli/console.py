"""What a person sees: consoles, progress bars, and errors in words."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from pcedge.errors import PcedgeError
from pcedge.progress import Progress as OnProgress

# Results go to standard output; progress, notes and errors to standard error.
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

_LABELS = {
    "render": "Rendering the line",
    "embed": "Embedding images",
    "coreset": "Choosing the coreset",
    "calibrate": "Calibrating on good images",
    "write": "Writing the bundle",
    "export": "Exporting and checking",
    "evaluate": "Evaluating",
    "watch": "Watching the line",
}


def show_error(error: PcedgeError) -> None:
    """Print what happened and, on a line of its own, what to do."""
    err.print(f"[bold red]Error:[/] {escape(error.what)}", soft_wrap=True)
    if error.hint:
        err.print(escape(error.hint), soft_wrap=True)


@contextmanager
def progress_bars() -> Iterator[OnProgress]:
    """Show a bar with an estimate for each stage that reports; yields what the stages report to."""
    with Progress(
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=err,
        speed_estimate_period=60,
    ) as bars:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(_LABELS.get(stage, stage), total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield report


def facts(title: str) -> Table:
    """An empty two-column table of names and values."""
    table = Table(title=title, show_header=False, title_justify="left", title_style="bold")
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    return table
