"""Runs the quickstart of README.md on a small rendered line and writes its output beside the commands.

Without ``--write`` it only prints. Times and differences of rounding are of the machine it runs on; the rest
is the same everywhere, to a few digits.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from .card import replace_results
from .command import run

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN = "<!-- quickstart: filled by python -m benchmarks.quickstart --write -->"
LINE = "parts/flange"
TRAIN, SIZE, WIDTH = 40, 256, "88"
COMMANDS = (
    f"pcedge fit {LINE} --backbone pcedge-s",
    "pcedge export",
    "pcedge watch --camera synthetic: --max-frames 4",
)
# Of the notes that a command writes to standard error, what is not progress.
_PROGRESS = ("✓", '{"camera"')
_SHOWN = ("name", "score", "threshold", "p_value", "verdict")


def quickstart(
    write: Annotated[bool, typer.Option("--write", help="Write it into README.md.")] = False,
) -> None:
    """Run the quickstart of README.md."""
    with tempfile.TemporaryDirectory() as work:
        lines = list(run_quickstart(Path(work)))
    if write:
        replace_results(README, lines, BEGIN)
    else:
        print("\n".join(lines))


def run_quickstart(work: Path) -> Iterator[str]:
    """Render a line, run the commands in a folder, and yield them with what they print, as Markdown."""
    from pcedge.camera import write_dataset

    write_dataset(work / LINE, train=TRAIN, test_good=0, per_defect=0, size=SIZE)
    for number, command in enumerate(COMMANDS):
        if number:
            yield ""
        yield "```console"
        yield f"$ {command}"
        yield from _printed(command, work)
        yield "```"
    yield ""
    yield "The last line of `inspections/flange/events.jsonl`, shortened:"
    yield ""
    yield "```json"
    yield _event(work / "inspections" / "flange" / "events.jsonl")
    yield "```"


def _printed(command: str, work: Path) -> Iterator[str]:
    """What a command shows to a person: tables and notes, neither progress nor JSON lines."""
    done = subprocess.run(
        [Path(sys.executable).with_name("pcedge"), *command.split()[1:]],
        cwd=work,
        env={**os.environ, "COLUMNS": WIDTH, "NO_COLOR": "1", "PCEDGE_CACHE": str(work / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{command}: exit code {done.returncode}\n{done.stderr}")
    for line in (done.stdout + done.stderr).splitlines():
        if line.strip() and not line.startswith(("{", *_PROGRESS)):
            yield line.rstrip()


def _event(journal: Path) -> str:
    event: dict[str, Any] = json.loads(journal.read_text(encoding="utf-8").splitlines()[-1])
    normal = event["regions"][0]["nearest_normal"]
    regions = [{"box": event["regions"][0]["box"], "nearest_normal": {"image": normal["image"]}}]
    regions[0]["nearest_normal"]["times_typical"] = normal["times_typical"]
    shown = {key: event[key] for key in _SHOWN}
    rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in shown.items()}
    return json.dumps(rounded, indent=None)[:-1] + ',\n "regions": ' + json.dumps(regions) + "}"


if __name__ == "__main__":
    run(quickstart)
