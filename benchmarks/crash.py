"""``pcedge watch`` killed again and again while it works through a folder.

``python -m benchmarks.crash --files 500 --kills 100``. The real command watches a folder with every kind of
file it keeps: events, images of everything, the event store. It is killed (SIGKILL) at random moments:
while it starts, between two files, while it writes. At the end it is let finish. Exit code 1 unless every
file has exactly one verdict, every image is whole, and the event store is sound.
"""

import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from pcedge.camera import read_image, render_part, write_dataset, write_image
from pcedge.errors import ImageError

from .command import Seed, run

_PICTURE_PX = 96
_CONFIG = """
[[camera]]
source = "incoming"
product = "{bundle}"

[watch]
output = "out"

[sinks.pictures]
save = "all"

[sinks.sqlite]
"""


@dataclass(frozen=True)
class Report:
    """What was left at the end.

    Attributes:
        files: Files that were to be judged.
        kills: How often it was killed, and how many of the kills met it at work.
        at_work: Kills after its first event of that run.
        verdicts: How many files have how many verdicts.
        half_pictures: Images that cannot be read.
        missing_pictures: Images that an event names and that are not there.
        store: What SQLite says of the event store, and how many events it has.
    """

    files: int
    kills: int
    at_work: int
    verdicts: dict[int, int]
    half_pictures: list[str]
    missing_pictures: int
    store: tuple[str, int]

    @property
    def good(self) -> bool:
        """Whether all is as it must be."""
        return self.verdicts == {1: self.files} and not self.half_pictures and self.store[0] == "ok"


def survive(root: Path, bundle: Path, files: int, kills: int, seed: int) -> Report:
    """Kill the command so often, then let it finish, and look at what is left.

    Args:
        root: An empty folder to work in.
        bundle: A bundle that was exported.
        files: How many files there are to be judged.
        kills: How often it is killed.
        seed: Of the moments.
    """
    incoming = root / "incoming"
    incoming.mkdir(parents=True)
    for number in range(files):
        write_image(incoming / f"{number:04}.png", render_part(number, size=_PICTURE_PX).image_rgb)
    (root / "line.toml").write_text(_CONFIG.format(bundle=bundle.resolve()), encoding="utf-8")
    rng = random.Random(seed)
    share = max(1, files // max(1, kills))
    at_work = sum(_run_and_kill(root, rng, rng.randrange(2 * share)) for _ in range(kills))
    _start(root).communicate(timeout=600)
    return _look(root, files, kills, at_work)


def _start(root: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "pcedge", "watch", "--config", "line.toml", "--once", "--json"]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def _run_and_kill(root: Path, rng: random.Random, events: int) -> bool:
    """Let it get as far as so many events, or none, and a random moment further; whether it was at work."""
    process = _start(root)
    assert process.stdout is not None
    if not events:
        time.sleep(rng.uniform(0.05, 3.0))
    for _ in range(events):
        if not process.stdout.readline():
            break
    time.sleep(rng.uniform(0, 0.05))
    process.kill()
    threading.Thread(target=process.communicate, daemon=True).start()
    process.wait()
    return events > 0


def _look(root: Path, files: int, kills: int, at_work: int) -> Report:
    out = root / "out"
    events = [json.loads(line) for line in (out / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    counts = Counter(event["name"] for event in events)
    names = [path.name for path in (root / "incoming").iterdir()]
    pictures = [path for path in (out / "pictures").iterdir() if not path.name.startswith(".")]
    named = [out / file for event in events for file in event["files"].values()]
    with sqlite3.connect(out / "events.sqlite") as database:
        ((state,),) = database.execute("PRAGMA integrity_check").fetchall()
        ((rows,),) = database.execute("SELECT COUNT(*) FROM event").fetchall()
    database.close()
    return Report(
        files=files,
        kills=kills,
        at_work=at_work,
        verdicts=dict(Counter(counts.get(name, 0) for name in names)),
        half_pictures=[path.name for path in pictures if not _whole(path)],
        missing_pictures=sum(not path.exists() for path in named),
        store=(str(state), int(rows)),
    )


def _whole(path: Path) -> bool:
    try:
        read_image(path)
    except ImageError:
        return False
    return True


def _bundle(root: Path) -> Path:
    """A bundle of the demo's line."""
    write_dataset(root / "line", train=12, test_good=1, per_defect=1, size=_PICTURE_PX)
    for arguments in (["fit", "line", "--backbone", "pcedge-s"], ["export"]):
        subprocess.run(
            [sys.executable, "-m", "pcedge", *arguments], cwd=root, check=True, capture_output=True
        )
    return root / "models" / "line"


def measure(
    files: Annotated[int, typer.Option(help="Files in the folder.", min=1)] = 500,
    kills: Annotated[int, typer.Option(help="How often the command is killed.", min=0)] = 100,
    seed: Seed = 0,
) -> None:
    """Kill pcedge watch at random moments and look at what is left."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        report = survive(root / "work", _bundle(root), files, kills, seed)
    print(f"{report.files} files, killed {report.kills} times, {report.at_work} times at work")
    print(f"verdicts a file: {report.verdicts}   (number of verdicts: files)")
    print(f"half images: {len(report.half_pictures)}, named but missing: {report.missing_pictures}")
    print(f"event store: {report.store[0]}, {report.store[1]} events")
    if not report.good:
        raise typer.Exit(1)


if __name__ == "__main__":
    run(measure)
