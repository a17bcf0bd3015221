"""``pcedge ... | head``: a command whose reader goes away ends quietly, with 141."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..conftest import COMMAND, Line, Run


def _into_a_closed_pipe(*arguments: str | Path, stream: str = "stdout") -> subprocess.CompletedProcess[bytes]:
    """Run a command into a pipe that nobody reads any more, as after ``| head`` has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: writer}
    try:
        return subprocess.run(
            [COMMAND, *map(str, arguments)],
            stdout=pipes["stdout"],
            stderr=pipes["stderr"],
            check=False,
            timeout=240,
        )
    finally:
        os.close(writer)


@pytest.mark.parametrize(
    "arguments", [("--help",), ("fit", "--help"), ("--version",), ("datasets",), ("datasets", "--json")]
)
def test_a_command_whose_reader_is_gone_ends_quietly(arguments: tuple[str, ...]) -> None:
    done = _into_a_closed_pipe(*arguments)

    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(
    "arguments", [("fit",), ("nonsense",), ("explain", "nowhere.png"), ("fit", "nowhere"), ("demo", "-x")]
)
def test_an_error_that_nobody_reads_ends_quietly(arguments: tuple[str, ...]) -> None:
    done = _into_a_closed_pipe(*arguments, stream="stderr")

    assert (done.returncode, done.stdout) == (141, b"")


def test_results_after_long_work_end_quietly_too(exported_line: Line) -> None:
    model = ("--model", exported_line.models / "line")

    for options in ((), ("--json",)):
        done = _into_a_closed_pipe("evaluate", exported_line.dataset, *model, *options)

        assert done.returncode == 141, done.stderr
        assert b"Traceback" not in done.stderr
        assert b"roken pipe" not in done.stderr


def test_head_takes_a_line_and_leaves() -> None:
    command = f"{COMMAND} fit --help | head -1; echo ${{PIPESTATUS[0]}}"

    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)

    assert done.stderr == ""
    assert done.stdout.split()[-1] in ("0", "141")  # whether head left before the end is a race


def test_an_error_keeps_its_code_where_only_the_results_have_no_reader(pcedge: Run) -> None:
    done = _into_a_closed_pipe("explain", "nowhere.png")

    assert done.returncode == pcedge("explain", "nowhere.png").returncode == 1
    assert b"Error:" in done.stderr


def test_another_pipe_that_breaks_is_an_error_in_words(tmp_path: Path) -> None:
    code = (
        "from pcedge.cli import app, main\n"
        "@app.command()\n"
        "def talk() -> None:\n"
        "    raise BrokenPipeError(32, 'Broken pipe')\n"
        "main()\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, "talk"], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 1
    assert "Broken pipe" in done.stderr
    assert "Traceback" not in done.stderr
