"""What a person reads on a terminal of 80 columns: help, tables, labels, and what to type next."""

import subprocess
import sys
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer.main
from rich.console import Console
from rich.text import Text
from typer.testing import CliRunner

from pcedge.bundles.bundle import set_current
from pcedge.bundles.manifest import SearchCost
from pcedge.cli import app, console
from pcedge.cli.commands.bundle import models
from pcedge.cli.commands.bundle.index import index_table
from pcedge.deployment.indexing.comparison import IndexReport

_GROUP: Any = typer.main.get_command(app)


@pytest.mark.parametrize("name", sorted(_GROUP.commands))
def test_paragraphs_of_help_are_left_to_the_terminal_to_wrap(name: str) -> None:
    paragraphs = _GROUP.commands[name].help.split("\n\n")
    assert all(paragraph and "\n" not in paragraph for paragraph in paragraphs)


@pytest.mark.parametrize("name", sorted(_GROUP.commands))
def test_every_option_stands_in_a_panel(name: str) -> None:
    options = [one for one in _GROUP.commands[name].params if one.param_type_name == "option"]

    assert [one.name for one in options if not one.rich_help_panel] == []


def test_help_is_sorted_into_panels_that_fit_eighty_columns() -> None:
    shown = CliRunner().invoke(app, ["fit", "--help"], env={"COLUMNS": "80"}).stdout.splitlines()

    headings = [line.split()[1] for line in shown if line.startswith("╭")]
    assert headings[:7] == ["Arguments", "Model", "Data", "Network", "Bank", "Threshold", "Fine-tuning"]
    assert headings[-1] == "Output"
    assert len(headings) == len(set(headings))
    assert max(map(len, shown)) <= 80


def test_commands_are_sorted_into_panels_too() -> None:
    panels = {name: command.rich_help_panel for name, command in _GROUP.commands.items()}

    assert set(panels.values()) == {"Make a bundle", "Measure", "On the line", "Look after"}
    assert (panels["fit"], panels["watch"]) == ("Make a bundle", "On the line")
    assert panels["suite"] == panels["evaluate"] == "Measure"


def test_every_command_that_uses_a_bundle_names_it_in_one_way() -> None:
    named = {
        name: one.opts
        for name, command in _GROUP.commands.items()
        for one in command.params
        if one.name == "model"
    }

    assert set(named) == {
        *("export", "plan", "evaluate", "bench", "explain", "watch", "verify"),
        *("doctor", "calibrate", "teach", "index"),
    }
    assert all(opts == ["--model", "-m"] for opts in named.values())


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        ("evaluate", "pcedge evaluate [OPTIONS] DATASET"),
        ("explain", "pcedge explain [OPTIONS] IMAGE"),
        ("calibrate", "pcedge calibrate [OPTIONS] IMAGES..."),
        ("teach", "pcedge teach [OPTIONS] [IMAGES]..."),
        ("bench", "pcedge bench [OPTIONS] [DATASET]"),
        ("suite", "pcedge suite [OPTIONS] DATASETS..."),
    ],
)
def test_usage_shows_the_new_form_alone(command: str, usage: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"], prog_name="pcedge", env={"COLUMNS": "80"}).stdout

    assert f" Usage: {usage} " in shown.splitlines()[1]


def test_help_needs_no_library_that_is_slow_to_load() -> None:
    code = "import sys, pcedge.cli, typer.rich_utils; print(*sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    slow = {"numpy", "msgspec", "cv2", "faiss", "onnxruntime", "torch", "PIL", "asyncio"}
    assert slow & set(done.stdout.split()) == set()


def test_bundles_are_listed_without_cutting_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = StringIO()
    monkeypatch.setattr(console, "out", Console(file=shown, width=80))
    facts: dict[str, str | bool | int] = {"method": "patchcore", "dataset": "mvtec/bottle", "exported": True}
    created = "2026-11-28T21:14:03+00:00"
    rows: list[dict[str, str | bool | int]] = [
        {
            "name": "bottle",
            "current": True,
            "backbone": "resnet18",
            "rows": 1481,
            "created": created,
            **facts,
        },
        {"name": "cap", "current": False, "backbone": "pcedge-s", "rows": 16385, "created": created, **facts},
    ]

    models._print_table(rows, "models")

    lines = [line.split() for line in shown.getvalue().splitlines()]
    assert [">", "bottle", "patchcore", "mvtec/bottle", "resnet18", "1,481", "yes", "2026-11-28"] in lines
    assert ["cap", "patchcore", "mvtec/bottle", "pcedge-s", "16,385", "yes", "2026-11-28"] in lines


def test_the_next_command_names_the_bundle_unless_it_is_the_current_one(tmp_path: Path) -> None:
    for name in ("bottle", "two words"):
        (tmp_path / name).mkdir()
    set_current(tmp_path, "bottle")

    assert console.model_option(tmp_path / "bottle") == ""
    assert console.model_option(tmp_path / "two words") == f" --model '{tmp_path / 'two words'}'"


@pytest.mark.parametrize(
    ("stage", "label"),
    [
        ("embed", "Embedding images"),
        ("fp16: embed", "fp16: Embedding images"),
        ("bottle", "bottle"),
        ("onnx on cpu: bench", "onnx on cpu: bench"),
    ],
)
def test_a_stage_of_one_of_several_things_keeps_its_name(stage: str, label: str) -> None:
    assert console._label(stage) == label


def test_ways_to_search_are_compared_without_cutting_a_number() -> None:
    nothing_lost = SearchCost(
        frames=10,
        source="10 test images",
        recall=1.0,
        proved=1.0,
        score_error_mean=0.0,
        score_error_largest=0.026,
        flips=12,
        good_flips=3,
    )
    report = IndexReport("HNSW32", 83_100_000, 64_700_000, 12.5, 123.4, 0.9444, nothing_lost)
    bundle: Any = SimpleNamespace(
        manifest=SimpleNamespace(
            bank=SimpleNamespace(rows=1481), embedding=SimpleNamespace(dims=1024), index="exact"
        )
    )
    shown = StringIO()

    Console(file=shown, width=80).print(index_table(bundle, [report]))

    row = ["HNSW32", "83.1", "64.7", "12.5", "123.4", "100.00%", "100.00%", "0.00%", "0.9444", "12", "(3)"]
    assert row in [line.split() for line in shown.getvalue().splitlines()]


def test_control_characters_in_a_name_reach_no_terminal() -> None:
    written = StringIO()
    terminal = console.Console(file=written, force_terminal=True, width=60)

    terminal.print(Text("\x1b]0;owned\x07 part\x9b31m"), style="bold")
    facts = console.Facts("\x1b[2Jtitle")
    facts.add_row("bundle", "a\x1b[31mb")
    terminal.print(facts)

    assert "\x1b]0" not in written.getvalue()
    assert "\x9b" not in written.getvalue()
    assert "\x1b[2J" not in written.getvalue()
    assert r"\x1b]0;owned part\x9b31m" in written.getvalue()
    assert "\x1b[1m" in written.getvalue(), "colours of one's own stay"
