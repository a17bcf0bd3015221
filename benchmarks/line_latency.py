"""From capture to verdict with two cameras at 80 % load, beside the time of inference alone.

``python -m benchmarks.line_latency BUNDLE``, on a machine that does nothing else. First the bundle's
inference is timed: preprocessing, network, search and map of one picture, or of two together. Then two
cameras give pictures at a rate that keeps it busy 80 % of the time, with events, pictures and overlays
written on the side: once taking turns, as cameras triggered one after the other do, judged singly; once at
the same moment, judged together. The aim is a 99th percentile from capture to verdict of at most 1.25 times
that of the inference alone. (Cameras that drift against each other meet now and then, and one must wait for
the other: no software changes that.)
"""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from pcedge.bundle import Bundle, find_bundle
from pcedge.camera import (
    Delivery,
    Event,
    Frame,
    FrameGate,
    Inspection,
    NoFrame,
    SinksTable,
    Source,
    Station,
    Stream,
    frame_name,
    inspect_stream,
    open_sinks,
    render_part,
)
from pcedge.gating import gate_limits
from pcedge.pooling import Assignment, PooledInspector
from pcedge.runtimes import candidates

from .command import run

LOAD, AIM = 0.8, 1.25
_WARM_UP = 10
_CAMERAS = ("left", "right")


class Ticking:
    """A live camera that gives a picture at fixed moments.

    Args:
        name: Its name.
        pictures: Given in turn.
        first_s: ``time.monotonic()`` of the first.
        period_s: Between two.
        frames: How many.
    """

    live = True

    def __init__(
        self, name: str, pictures: list[NDArray[np.uint8]], first_s: float, period_s: float, frames: int
    ) -> None:
        self.name = name
        self._pictures = pictures
        self._first_s = first_s
        self._period_s = period_s
        self._frames = frames
        self._next = 0

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def read(self, timeout_s: float) -> Frame | NoFrame:
        """The next picture at its moment."""
        if self._next == self._frames:
            return NoFrame.END
        ahead_s = self._first_s + self._next * self._period_s - time.monotonic()
        if ahead_s > 0:
            time.sleep(min(ahead_s, timeout_s))
        if ahead_s > timeout_s:
            return NoFrame.YET
        number, self._next = self._next, self._next + 1
        picture = self._pictures[number % len(self._pictures)].copy()
        return Frame(self.name, number, frame_name(number), time.time(), picture)


@dataclass(frozen=True)
class Timing:
    """Milliseconds: 50th and 99th percentile, and how many there were."""

    p50_ms: float
    p99_ms: float
    count: int

    @classmethod
    def of(cls, times_ms: list[float]) -> "Timing":
        """Of single times."""
        p50_ms, p99_ms = np.percentile(times_ms, (50, 99))
        return cls(float(p50_ms), float(p99_ms), len(times_ms))


def time_inference(
    inspector: PooledInspector, pictures: list[NDArray[np.uint8]], together: int, rounds: int
) -> Timing:
    """Time the inference of so many pictures together."""
    times_ms = []
    for number in range(_WARM_UP + rounds):
        frames = [
            Frame(name, number, "", 0.0, pictures[(number + i) % len(pictures)])
            for i, name in enumerate(_CAMERAS[:together])
        ]
        began = time.perf_counter()
        inspector.inspect(frames)
        times_ms.append((time.perf_counter() - began) * 1000)
    return Timing.of(times_ms[_WARM_UP:])


def time_gate(bundle: Bundle, pictures: list[NDArray[np.uint8]]) -> float:
    """Median milliseconds that the frame gate takes for a picture."""
    gate = FrameGate(gate_limits(bundle))
    times_ms = []
    for number in range(_WARM_UP + 50):
        began = time.perf_counter()
        gate.check(pictures[number % len(pictures)])
        times_ms.append((time.perf_counter() - began) * 1000)
    return Timing.of(times_ms[_WARM_UP:]).p50_ms


def time_line(
    inspector: PooledInspector,
    pictures: list[NDArray[np.uint8]],
    output: Path,
    *,
    in_step: bool,
    busy_ms: float,
    frames: int,
) -> tuple[Timing, int]:
    """Time frames from capture to verdict; also returns how many were dropped.

    Args:
        inspector: Knows both cameras.
        pictures: Given in turn by both.
        output: For events and pictures.
        in_step: Whether both expose at the same moment.
        busy_ms: How long a turn of both keeps the inference busy.
        frames: Of each camera.
    """
    period_s = busy_ms / 1000 / LOAD
    first_s = time.monotonic() + 0.5
    sources = {
        name: Ticking(name, pictures, first_s + (0 if in_step else number * period_s / 2), period_s, frames)
        for number, name in enumerate(_CAMERAS)
    }
    limits = gate_limits(inspector.assignment(_CAMERAS[0]).bundle)
    stations = {name: Station(gate=FrameGate(limits)) for name in _CAMERAS}
    times_ms: list[float] = []

    def note(event: Event, _frame: Frame, _inspection: Inspection) -> None:
        if event.frame >= _WARM_UP:
            times_ms.append(event.latency_ms)

    with Delivery(open_sinks(SinksTable(), output)) as delivery, Stream(sources) as stream:
        inspect_stream(stream, inspector.inspect, stations=stations, outlet=delivery, on_event=note, batch=2)
        return Timing.of(times_ms), stream.dropped


def measure(
    bundle: Annotated[str | None, typer.Argument(help="A bundle; without it, the current one.")] = None,
    frames: Annotated[int, typer.Option(help="Frames of each camera.", min=20)] = 500,
) -> None:
    """Time two cameras at 80 % load from capture to verdict."""
    found = find_bundle(bundle)
    chosen = candidates(found, "auto")[0]
    pictures = [render_part(seed, size=384).image_rgb for seed in range(8)]
    assignments = {name: Assignment(found) for name in _CAMERAS}
    missed = False
    with (
        PooledInspector(assignments, lambda _: chosen) as inspector,
        tempfile.TemporaryDirectory() as directory,
    ):
        gate_ms = time_gate(found, pictures)
        print(f"frame gate: {gate_ms:.1f} ms a frame, part of the load and of the time to the verdict")
        for title, together in (("taking turns", 1), ("in step", 2)):
            alone = time_inference(inspector, pictures, together, min(frames, 200))
            timing, dropped = time_line(
                inspector,
                pictures,
                Path(directory) / str(together),
                in_step=together == 2,
                busy_ms=alone.p50_ms * (2 if together == 1 else 1) + len(_CAMERAS) * gate_ms,
                frames=frames,
            )
            ratio = timing.p99_ms / alone.p99_ms
            missed |= ratio > AIM
            print(f"{title}: inference of {together}: p50 {alone.p50_ms:.1f} ms, p99 {alone.p99_ms:.1f} ms")
            print(f"  capture to verdict: p50 {timing.p50_ms:.1f} ms, p99 {timing.p99_ms:.1f} ms, ", end="")
            print(f"{timing.count} frames, {dropped} dropped; p99 is {ratio:.2f} times that of inference")
    if missed:
        raise typer.Exit(1)


if __name__ == "__main__":
    run(measure)
