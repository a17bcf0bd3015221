"""Command line options of ``evaluate`` and ``suite``."""

from typing import Annotated

import typer

from . import panels

Leaks = Annotated[
    str,
    typer.Option(
        help="What becomes of test images that show what a training image shows: report names them, "
        "exclude also leaves them out, ignore does not look for them.",
        rich_help_panel=panels.DATA,
    ),
]
Runtimes = Annotated[
    str | None,
    typer.Option(
        help="Compare runtimes on the same images: torch,onnx,tensorrt. The others are compared with the "
        "first; one that is not installed is listed with the reason.",
        show_default=False,
        rich_help_panel=panels.RUNTIME,
    ),
]
