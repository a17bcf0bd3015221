"""100,000 frames, and what they leave behind: memory, threads, open files.

``python -m benchmarks.soak --frames 100000``. The synthetic camera's images, rendered once and given
again and again, go the whole way of a frame: reader, gate, inspection (a trivial one), decision, event, the
files of events and images. Exit code 1 if the memory of the process has grown by more than 2 % since
frame 5,000, or if a thread or an open file is left over.
"""

import gc
import itertools
import os
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from pcedge.camera import (
    Delivery,
    Event,
    Frame,
    FrameGate,
    Inspection,
    NoFrame,
    Source,
    Station,
    Stream,
    Verdict,
    frame_name,
    inspect_stream,
    one_by_one,
    open_sinks,
    read_sinks,
    render_part,
)

_PICTURES, _PICTURE_PX = 32, 64
_MOST_GROWTH = 0.02
# Far faster than any camera, the frames would otherwise fill the queues before the sinks.
_FLUSHED_EVERY = 100


@dataclass(frozen=True)
class Report:
    """What was left behind.

    Attributes:
        frames: Frames judged.
        seconds: How long that took.
        memory: Resident bytes by the number of frames judged.
        threads: Names of the threads left over.
        files: What the files left open are.
        lost: Events that a sink did not take.
    """

    frames: int
    seconds: float
    memory: dict[int, int]
    threads: list[str]
    files: list[str]
    lost: int

    def growth(self, since: int) -> float:
        """Growth of the memory since a number of frames."""
        return self.memory[max(self.memory)] / self.memory[since] - 1


class Rerun:
    """The synthetic camera's images again and again: rendering them anew would take a day.

    Args:
        frames: How many.
    """

    name = "rerun"
    live = False

    def __init__(self, frames: int) -> None:
        self._pictures = [render_part(seed, size=_PICTURE_PX).image_rgb for seed in range(_PICTURES)]
        self._numbers = iter(range(frames))

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def read(self, timeout_s: float) -> Frame | NoFrame:
        """The next image, in memory of its own as from a driver."""
        number = next(self._numbers, None)
        if number is None:
            return NoFrame.END
        picture = self._pictures[number % _PICTURES].copy()
        return Frame(self.name, number, frame_name(number), time.time(), picture)


def soak(frames: int, since: int, output: Path) -> Report:
    """Judge so many frames, looking at the memory after ``since`` of them and at the end."""
    settings = {
        "jsonl": {"max_mb": 1.0, "keep": 2},
        "pictures": {"save": "flagged", "max_count": 100},
    }
    numbers = itertools.count(1)
    memory: dict[int, int] = {}

    def judge(frame: Frame) -> Inspection:
        assert frame.image_rgb is not None
        score = float(frame.image_rgb[::8, ::8].mean())
        verdict = Verdict.NG if frame.index % 500 == 0 else Verdict.OK
        return Inspection(verdict, score, 100.0, "", np.zeros((32, 32), np.float32), np.eye(2, 3) * 2, 0.5)

    def look(_event: Event, _frame: Frame, _inspection: Inspection) -> None:
        number = next(numbers)
        if number % _FLUSHED_EVERY == 0:
            delivery.flush(30)
        if number in {since, frames}:
            gc.collect()
            memory[number] = resident_bytes()

    threads, files = set(threading.enumerate()), _open_files()
    began = time.monotonic()
    sinks = open_sinks(read_sinks(settings), output)
    with Delivery(sinks) as delivery, Stream(Rerun(frames)) as stream:
        stations = {"rerun": Station(gate=FrameGate())}
        summary = inspect_stream(stream, one_by_one(judge), stations=stations, outlet=delivery, on_event=look)
    lost = sum(report.lost for report in delivery.faults() if report.name != "pictures")
    seconds = time.monotonic() - began
    # What was there before is somebody else's, and may end meanwhile.
    threads_left = [thread.name for thread in set(threading.enumerate()) - threads]
    files_left = [target for _, target in _open_files() - files]
    return Report(summary.frames, seconds, memory, threads_left, files_left, lost)


def resident_bytes() -> int:
    """Memory of this process that is in RAM."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _open_files() -> set[tuple[str, str]]:
    """Number and target of every open file; the listing's own is gone before its target is read."""
    return {(entry.name, target) for entry in Path("/proc/self/fd").iterdir() if (target := _target(entry))}


def _target(entry: Path) -> str | None:
    try:
        return str(entry.readlink())
    except FileNotFoundError:
        return None


def measure(
    frames: Annotated[int, typer.Option(help="Frames to judge.", min=10)] = 100_000,
    since: Annotated[int, typer.Option(help="Frames after which memory is first looked at.", min=1)] = 5_000,
) -> None:
    """Judge very many frames and look at what they leave behind."""
    with tempfile.TemporaryDirectory() as directory:
        report = soak(frames, since, Path(directory))
    print(f"{report.frames} frames in {report.seconds:.0f} s, {report.lost} events lost")
    shown = ", ".join(f"{number}: {size / 1e6:.1f} MB" for number, size in report.memory.items())
    print(f"memory after frames {shown}; growth {report.growth(since):+.2%}")
    print(f"threads left over: {report.threads or 'none'}, files left open: {report.files or 'none'}")
    if report.threads or report.files or report.growth(since) > _MOST_GROWTH or report.lost:
        raise typer.Exit(1)


if __name__ == "__main__":
    from .command import run

    run(measure)
