"""Terminal output: consoles, notes, errors, progress bars, tables of facts."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, RenderableType
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
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from pcedge.core.progress import Progress as OnProgress
from pcedge.core.text import shown
from pcedge.errors import PcedgeError


class Console(RichConsole):
    """A console on which texts from elsewhere cannot do anything: control characters are escaped."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render as Rich does; its own movements of the cursor are segments of control and stay."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(shown(segment.text), segment.style)


# Results go to standard output; progress, notes and errors to standard error.
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

_LABELS = {
    "render": "Rendering the line",
    "download": "Downloading weights (MB)",
    "embed": "Embedding images",
    "coreset": "Choosing the coreset",
    "gaussians": "Fitting the Gaussians",
    "pixels": "Reading images",
    "train": "Training (thousandths)",
    "calibrate": "Calibrating on good images",
    "usage": "Counting used bank rows",
    "write": "Writing the bundle",
    "export": "Exporting and checking",
    "engine": "Building the engine",
    "triton": "Writing the Triton models",
    "check": "Checking the dataset",
    "evaluate": "Evaluating",
    "index": "Building indexes",
    "milvus": "Rows in Milvus",
    "search": "Searching",
    "look": "Looking at the images",
    "teach": "Teaching the banks",
    "data": "Reading the data",
    "sweep": "Points of the sweep",
    "plan": "Networks of the plan",
    "categories": "Categories",
    "compare": "Methods compared",
    "read": "Reading the runs",
    "draw": "Drawing",
    "typeset": "Typesetting",
    "watch": "Watching the line",
    "components": "Looking at the teacher",
    "distill": "Training",
    "finetune": "Fine-tuning",
}


def say(markup: str, **values: object) -> None:
    """Print a note to standard error: markup with ``{name}`` placeholders, whose values are not markup."""
    err.print(markup.format(**{name: escape(str(value)) for name, value in values.items()}), soft_wrap=True)


def show_error(error: PcedgeError) -> None:
    """Print what happened and, on a separate line, what to do."""
    say("[bold red]Error:[/] {what}", what=error.what)
    if error.hint:
        say("{hint}", hint=error.hint)


def model_option(bundle: Path) -> str:
    """The ``--model`` option that the next command needs to use a bundle; empty for the current one."""
    from pcedge.bundles.bundle import current_name

    return "" if current_name(bundle.parent) == bundle.name else f" --model {quote(str(bundle))}"


@contextmanager
def progress_bars() -> Iterator[OnProgress]:
    """Show a progress bar with an estimate for each stage; yields the progress callback."""
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
                tasks[stage] = bars.add_task(_label(stage), total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield report


def _label(stage: str) -> str:
    """The label of a stage; a prefix (``fp16: embed``) is kept."""
    of, colon, own = stage.rpartition(": ")
    return f"{of}{colon}{_LABELS.get(own, own)}"


class Facts(Table):
    """A table of names and values; strings are not markup, use ``Text`` for colours."""

    def __init__(self, title: str) -> None:
        super().__init__(title=Text(title), show_header=False, title_justify="left", title_style="bold")
        self.add_column(style="cyan", no_wrap=True)
        self.add_column(overflow="fold")

    def add(self, name: str, value: str | Text) -> None:
        """Add a row."""
        self.add_row(name, value if isinstance(value, Text) else Text(value))
