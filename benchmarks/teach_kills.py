"""``pcedge.teach`` killed again and again while it teaches a bundle.

``python -m benchmarks.teach_kills --kills 50``. A bundle is fitted on rendered parts; a process of its own
teaches it three images that show the same new thing, and is killed (SIGKILL) at a random moment, more often
towards its end, where it writes. Each time the bundle must open, every file in it must be what its manifest
says, and its bank must be the old one or the new one, to the byte. At the end a teacher that is left alone
must succeed, and nothing may lie beside the bundle. Exit code 1 unless all of that holds.
"""

import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from pcedge import Bundle, CoresetSize, FitOptions, export_bundle, fit
from pcedge.adaptation.teaching import read_log, rollback
from pcedge.banks import INDEX_FILE
from pcedge.camera import render_part, write_image
from pcedge.errors import PcedgeError

from .command import Json, Seed, facts, print_json, run

_LESSON = 3
_PATCH_PX = 48
_TEACHER = """
import sys
from pathlib import Path
import pcedge
from pcedge.adaptation.teaching import TeachOptions
print("ready", flush=True)
directory, *images = map(Path, sys.argv[1:])
pcedge.teach(pcedge.Bundle.open(directory), images, TeachOptions(force=True, wait_s=60.0))
print("done", flush=True)
"""


@dataclass
class Report:
    """What was found.

    Attributes:
        kills: How often the teacher was killed at work.
        too_late: How often it was done before.
        old: After how many kills the bank was the old one.
        new: After how many it was the new one.
        leftovers: Largest number of hidden directories that a kill left beside the bundle.
        faults: What was not as it must be, with the number of the kill.
    """

    kills: int = 0
    too_late: int = 0
    old: int = 0
    new: int = 0
    leftovers: int = 0
    faults: list[str] = field(default_factory=list)


def survive(directory: Path, pictures: list[Path], kills: int, seed: int) -> Report:
    """Kill a teacher so often, and look at the bundle each time.

    Args:
        directory: The bundle's; it was exported, was never taught, and lies alone in its folder.
        images: Good ones that teach it something.
        kills: How often.
        seed: Of the moments.
    """
    old = _bank(directory)
    takes_s = _teach(directory, pictures, None)
    new = _bank(directory)
    rollback(Bundle.open(directory), 0)
    assert takes_s is not None
    assert new != old == _bank(directory)
    rng, report = random.Random(seed), Report()
    while report.kills < kills:
        took_s = _teach(directory, pictures, takes_s * rng.random() ** 0.5)
        finished = took_s is not None
        takes_s = min(takes_s, took_s or takes_s)
        report.too_late += finished
        report.kills += not finished
        report.leftovers = max(report.leftovers, len(_beside(directory)))
        try:
            found = _checked(directory)
        except PcedgeError as error:
            report.faults.append(f"kill {report.kills}: {error.what}")
            return report
        if found not in (old, new) or (finished and found != new):
            report.faults.append(f"kill {report.kills}: the bank is neither the old one nor the new one")
            return report
        report.old += not finished and found == old
        report.new += not finished and found == new
        if found == new:
            rollback(Bundle.open(directory), 0)
    if _teach(directory, pictures, None) is None or _checked(directory) != new:
        report.faults.append("a teacher that is left alone does not succeed")
    report.faults += [f"{path.name} was left beside the bundle" for path in _beside(directory)]
    return report


def _teach(directory: Path, pictures: list[Path], killed_after_s: float | None) -> float | None:
    """Let a process teach; the seconds it took, None where it was killed before it was done."""
    command = [sys.executable, "-c", _TEACHER, str(directory), *map(str, pictures)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "the teacher did not begin"
        began = time.monotonic()
        try:
            process.wait(killed_after_s)
        except subprocess.TimeoutExpired:
            process.kill()
        done = process.stdout.read() == "done\n"
        return time.monotonic() - began if done else None


def _bank(directory: Path) -> str:
    return Bundle.open(directory).manifest.files[INDEX_FILE].sha256


def _checked(directory: Path) -> str:
    """Open a bundle and all there is in it; its bank's digest."""
    bundle = Bundle.open(directory)
    for precision in bundle.precisions:
        variant = bundle.in_precision(precision)
        for name in variant.manifest.files:
            variant.file(name)
        variant.open_bank()
    read_log(bundle)
    return _bank(directory)


def _beside(directory: Path) -> list[Path]:
    return [path for path in directory.parent.iterdir() if path.is_dir() and path != directory]


def lesson(folder: Path, size: int = 384) -> list[Path]:
    """Pictures of good parts with the same new thing on all of them."""
    thing = np.random.default_rng(0).integers(0, 256, (_PATCH_PX, _PATCH_PX, 3), np.uint8)
    folder.mkdir(parents=True)
    paths = []
    for number in range(_LESSON):
        image = np.array(render_part(7_000_000 + number, size=size).image_rgb)
        top = (size - _PATCH_PX) // 2
        image[top : top + _PATCH_PX, top : top + _PATCH_PX] = thing
        paths.append(folder / f"{number}.png")
        write_image(paths[-1], image)
    return paths


def part_bundle(root: Path, size: int) -> Path:
    """A bundle of the demo's part, exported."""
    for number in range(16):
        (root / "good").mkdir(parents=True, exist_ok=True)
        write_image(root / "good" / f"{number:02}.png", render_part(number, size=size).image_rgb)
    options = FitOptions(
        backbone="pcedge-s", coreset=CoresetSize.parse("10%"), models=root / "models", name="part"
    )
    return export_bundle(fit(root / "good", options).bundle).bundle.directory


def measure(
    kills: Annotated[int, typer.Option(help="How often a teacher is killed.", min=1)] = 50,
    size: Annotated[int, typer.Option(help="Side of the images in pixels.", min=96)] = 192,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Kill teachers at random moments and look at what is left."""
    with tempfile.TemporaryDirectory(prefix="pcedge-kills-") as folder:
        root = Path(folder)
        report = survive(part_bundle(root, size), lesson(root / "lesson", size), kills, seed)
    if json:
        print_json(asdict(report))
    else:
        table = facts(f"A teacher killed {report.kills} times at work")
        table.add_row("afterwards", f"the old bank {report.old} times, the new one {report.new} times")
        table.add_row("too late", f"{report.too_late} times the lesson was done before")
        table.add_row("left beside", f"{report.leftovers} directories at most, none at the end")
        table.add_row("faults", "; ".join(report.faults) or "none")
        from pcedge.cli.console import out

        out.print(table)
    if report.faults:
        raise typer.Exit(1)


if __name__ == "__main__":
    run(measure)
