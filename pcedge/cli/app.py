"""The ``pcedge`` command and its one error handler."""

import signal
from collections.abc import Callable
from inspect import cleandoc
from typing import Annotated

import typer

from .closed_pipe import ends_with_its_reader, open_missing_streams
from .command_group import Command, CommandGroup
from .commands.bundle.calibrate import calibrate
from .commands.bundle.distill import distill
from .commands.bundle.export import export
from .commands.bundle.fit import fit
from .commands.bundle.index import index
from .commands.bundle.models import models
from .commands.bundle.teach import teach
from .commands.bundle.verify import verify
from .commands.evaluation.bench import bench
from .commands.evaluation.compare import compare
from .commands.evaluation.datasets import datasets
from .commands.evaluation.evaluate import evaluate
from .commands.evaluation.explain import explain
from .commands.evaluation.plan import plan
from .commands.evaluation.report import report
from .commands.evaluation.suite import suite
from .commands.evaluation.sweep import sweep
from .commands.line.demo import demo
from .commands.line.doctor import doctor
from .commands.line.service import service
from .commands.line.watch import watch
from .options import panels

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "PatchCore anomaly detection, from a folder of good images to a camera on a line.\n\n"
        "A working day: [bold]pcedge fit mvtec/bottle[/], [bold]pcedge export --trt[/], "
        "[bold]pcedge watch --camera 0[/]. To see it all at once: [bold]pcedge demo[/].\n\n"
        "Exit codes: 0 done, 1 error, 2 wrong usage, 3 partly done, 4 not every part was OK (--fail-on-ng) "
        "or a limit was missed, 130 stopped, 141 the reader of the output has gone (| head)."
    ),
)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"pcedge {version('pcedge')}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    pass


def _reflowed(command: Callable[..., None]) -> str:
    """A command's docstring with each paragraph on one line, so that help wraps to the terminal's width."""
    paragraphs = cleandoc(command.__doc__ or "").split("\n\n")
    return "\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs)


_COMMANDS = {
    panels.MAKE: (fit, export, plan, distill),
    panels.MEASURE: (evaluate, suite, compare, sweep, bench, explain, report, datasets),
    panels.ON_THE_LINE: (watch, verify, service, doctor, demo),
    panels.LOOK_AFTER: (models, calibrate, teach, index),
}
for _panel, _commands in _COMMANDS.items():
    for _command in _commands:
        app.command(_command.__name__, cls=Command, help=_reflowed(_command), rich_help_panel=_panel)(
            _command
        )


def main() -> None:
    """Run the command line; SIGTERM ends it like Ctrl-C, with cleanup."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    open_missing_streams()
    with ends_with_its_reader():
        app()
