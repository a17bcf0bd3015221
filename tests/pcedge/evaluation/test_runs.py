"""Runs on disk: read as they were written, whole or not at all, and refused with words when they are not."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pcedge.errors import OptionError, ResultError
from pcedge.evaluation.runs import (
    CURVES_FILE,
    RUN_FILE,
    SCHEMA_VERSION,
    SCORES_FILE,
    Curve,
    Curves,
    Run,
    RunImage,
    find_runs,
    finish_run,
    read_curves,
    read_run,
    write_run,
)

CURVES = Curves(image_roc=Curve(x=(0.0, 0.0, 1.0), y=(0.0, 1.0, 1.0)))


Write = Callable[..., Run]


@pytest.fixture
def write(make_run: Callable[..., Run]) -> Write:
    """Write a run, and return it."""

    def write(directory: Path, **changes: Any) -> Run:
        run = make_run(**changes)
        with write_run(directory) as staging:
            finish_run(staging, run, CURVES)
        return run

    return write


def test_a_run_is_read_as_it_was_written(tmp_path: Path, write: Write) -> None:
    run = write(tmp_path / "bolt")

    assert read_run(tmp_path / "bolt") == run
    assert read_run(tmp_path / "bolt" / RUN_FILE) == run
    assert read_curves(tmp_path / "bolt") == CURVES
    assert (run.value("image_auroc"), run.value("aupro"), run.value("nonsense")) == (0.9, None, None)


def test_the_scores_are_a_table_that_other_programs_read(tmp_path: Path, write: Write) -> None:
    run = write(tmp_path / "bolt")

    with (tmp_path / "bolt" / SCORES_FILE).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    assert [row["name"] for row in rows] == [image.name for image in run.images]
    assert [float(row["score"]) for row in rows] == [1.25, 3.5]
    assert [row["kind"] for row in rows] == ["good", "dent, deep"]


def test_a_run_that_fails_leaves_the_one_before(
    tmp_path: Path, write: Write, make_run: Callable[..., Run]
) -> None:
    run = write(tmp_path / "bolt")

    def fail() -> None:
        with write_run(tmp_path / "bolt") as staging:
            finish_run(staging, make_run(name="other"), CURVES)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert read_run(tmp_path / "bolt") == run
    assert [path.name for path in tmp_path.iterdir()] == ["bolt"]


def test_something_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "bolt").mkdir()
    (tmp_path / "bolt" / "precious.txt").write_text("mine")

    with pytest.raises(OptionError, match="is not a run"), write_run(tmp_path / "bolt"):
        pytest.fail("there was nothing to be replaced")

    assert (tmp_path / "bolt" / "precious.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "damaged"),
        (b"[1, 2]", "damaged"),
        (b"\xff\xfe", "damaged"),
        (b'{"schema_version": 1, "name": "bolt"}', "missing required field"),
        (b'{"schema_version": %d}' % (SCHEMA_VERSION + 1), "Update"),
    ],
)
def test_what_is_no_run_is_refused_with_words(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / RUN_FILE).write_bytes(content)

    with pytest.raises(ResultError, match=words):
        read_run(tmp_path)


def test_fields_of_later_versions_do_not_disturb(tmp_path: Path, write: Write) -> None:
    run = write(tmp_path / "bolt")
    path = tmp_path / "bolt" / RUN_FILE
    stated = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode({**stated, "added_later": 1}))

    assert read_run(tmp_path / "bolt") == run


@pytest.mark.parametrize("name", ["/etc/passwd", "../other/a.jpg"])
def test_a_run_that_names_files_outside_is_refused(tmp_path: Path, name: str, write: Write) -> None:
    picture = RunImage(group="miss", name="a", kind="dent", score=1.0, picture=name, heatmap="pictures/b.jpg")
    write(tmp_path / "bolt", pictures=(picture,))

    with pytest.raises(ResultError, match="outside"):
        read_run(tmp_path / "bolt")


def test_runs_are_found_by_themselves_and_below_a_folder_each_once(tmp_path: Path, write: Write) -> None:
    for name in ("nut", "bolt"):
        write(tmp_path / name)
    (tmp_path / "models").mkdir()

    found = find_runs([tmp_path / "nut", tmp_path, tmp_path / "bolt" / RUN_FILE])

    assert [path.name for path in found] == ["nut", "bolt"]


def test_a_folder_without_runs_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="is not a run and holds none") as caught:
        find_runs([tmp_path])

    assert "pcedge suite" in caught.value.hint
    with pytest.raises(ResultError, match=CURVES_FILE):
        read_curves(tmp_path)
