"""``pcedge service``."""

from pathlib import Path
from typing import Annotated

import typer

from pcedge.cli.options import panels


def service(
    config: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG",
            help="The line's TOML file, as watch takes it.",
        ),
    ],
    install: Annotated[
        bool,
        typer.Option(
            "--install",
            help="Write the unit into /etc/systemd/system instead of printing it.",
            rich_help_panel=panels.OUTPUT,
        ),
    ] = False,
    user: Annotated[
        str | None,
        typer.Option(
            help="User that it runs as. Default: the owner of the file.",
            show_default=False,
            rich_help_panel=panels.LINE,
        ),
    ] = None,
    name: Annotated[
        str,
        typer.Option(
            help="Name of the unit.",
            rich_help_panel=panels.LINE,
        ),
    ] = "pcedge-watch",
) -> None:
    """Print or install a systemd unit that watches a line for months.

    The unit starts at boot, restarts after an exit or a hang (every inspection resets systemd's watchdog),
    and may write only below the folder of the TOML file.
    """
    from pcedge.cli.console import say
    from pcedge.line.systemd_unit import describe_service, install_service

    described = describe_service(config, user=user, name=name)
    if not install:
        print(described.unit(), end="")
        return
    path = install_service(described)
    say("Wrote {path}. Start it now and with the machine:", path=path)
    say("  systemctl daemon-reload && systemctl enable --now {name}", name=described.name)
    say("See how it is: systemctl status {name}, journalctl -u {name}", name=described.name)
