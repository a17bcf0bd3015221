"""What a person reads on a terminal of 80 columns: help, tables, labels, and what to type next."""

from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer.main
from rich.console import Console

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
