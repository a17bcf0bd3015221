"""Shares on the command line: ``1%`` and ``0.01`` mean the same, wherever one is taken."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer
import typer.main
from typer.testing import CliRunner

from pcedge.cli import app
from pcedge.cli.options.shares import share, share_of_all
from pcedge.errors import OptionError
from pcedge.thresholds.conformal import Rates


def _options() -> Iterator[tuple[str, Any]]:
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        yield from ((name, one) for one in command.params if one.param_type_name == "option")


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.01", 0.01), ("1%", 0.01), (" 1 % ", 0.01), ("0.5%", 0.005), ("1e-3", 1e-3), ("0", 0.0), ("5", 5.0)],
)
def test_a_share_is_a_number_or_a_percentage(text: str, value: float) -> None:
    assert share(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "%", "one", "1,5%", "1%%", "nan", "inf%", "1 per cent"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"0\.01 or 1%"):
        share(text)


@pytest.mark.parametrize("text", ["101%", "-1%", "1.5"])
def test_a_share_of_all_is_at_most_all(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="between 0 and 1"):
        share_of_all(text)


def test_every_option_that_takes_a_share_takes_a_percentage() -> None:
    shares = {(command, one.name) for command, one in _options() if one.metavar == "SHARE"}
    meant = {
        (command, one.name)
        for command, one in _options()
        if "share of" in (one.help or "").lower() and "float" in str(one.type_descriptor.annotation)
    }

    assert meant <= shares
    assert {("fit", "false_reject_rate"), ("calibrate", "review_rate"), ("teach", "max_growth")} <= shares


def test_every_such_option_is_read_so_from_the_command_line() -> None:
    for command, one in _options():
        if one.metavar == "SHARE":
            done = CliRunner().invoke(app, [command, one.opts[0], "abc"], env={"COLUMNS": "200"})
            assert done.exit_code == 2, (command, one.name)
            assert "0.01 or 1%" in done.output, (command, one.name)


def test_a_rate_that_was_meant_in_per_cent_is_told_how_to_write_it() -> None:
    with pytest.raises(OptionError, match="makes no sense") as found:
        Rates(5.0).check(1000)
    assert "5%" in found.value.hint
