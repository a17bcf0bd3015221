"""The README tells the truth: its commands exist with the options it gives them, its links lead somewhere."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from pcedge.cli import app

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted({line.split("#")[0].strip() for line in README.splitlines() if line.startswith("pcedge ")})


def test_the_readme_has_the_three_commands_of_a_working_day() -> None:
    assert {"pcedge fit mvtec/bottle", "pcedge export --trt", "pcedge watch --camera 0"} <= set(COMMANDS)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_in_the_readme_parses(line: str) -> None:
    _, name, *arguments = shlex.split(line)
    group: Any = typer.main.get_command(app)
    command = group.commands[name]

    command.make_context(name, arguments)  # raises a usage error for an unknown option or a bad value


@pytest.mark.parametrize("target", re.findall(r"^(\w+): ", (ROOT / "Makefile").read_text(), re.MULTILINE))
def test_every_make_target_explains_itself(target: str) -> None:
    assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("target", sorted({*re.findall(r"`make (\w+)`", README), "demo", "test"}))
def test_make_targets_in_the_readme_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", re.findall(r"\]\((?!http)([^)]+)\)", README))
def test_relative_links_lead_somewhere(path: str) -> None:
    assert (ROOT / path).exists()


def test_extras_in_the_readme_exist() -> None:
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extra in {name for group in re.findall(r"'\.\[([a-z,]+)\]'", README) for name in group.split(",")}:
        assert re.search(rf"^{extra} = \[", declared, re.MULTILINE), extra
