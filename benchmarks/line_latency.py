"""From capture to verdict with two cameras at 80 % load, beside the time of inference alone.

``python -m benchmarks.line_latency BUNDLE``, on a machine that does nothing else. Each round first times the
bundle's inference alone (preprocessing, network, search and map of one image, or of two), with the pauses
that a load of 80 % has: what it varies by there is the machine's own. Then two cameras show the bundle's
golden images, of which about every fourth is NG, with frame gate, drift, events, images and heatmaps as
``pcedge watch`` has them: once taking turns, as cameras triggered one after the other do, once at the same
moment. 80 % is of what the line can do: the time that a frame takes from capture to verdict is measured at
half that load beforehand. The aim is a 99th percentile from capture to verdict, at 80 %, of at most 1.25
times that of the inference alone. (Cameras that drift against each other meet now and then, and one must wait
for the other: no software changes that.)
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

from pcedge.bundles.bundle import Bundle, find_bundle
from pcedge.bundles.gate_files import gate_limits
from pcedge.camera import (
    Delivery,
    DriftMonitor,
    Event,
    Frame,
    FrameGate,
    Inspection,
    NoFrame,
    SinksTable,
    Source,
    Station,
    Stream,
    Verdict,
    frame_name,
    inspect_stream,
    open_sinks,
)
from pcedge.cli.console import out
from pcedge.errors import OptionError
from pcedge.inspection.runtimes import candidates
from pcedge.inspection.verification.golden import read_golden
from pcedge.line.inspector_pool import Assignment, InspectorPool
from pcedge.thresholds.drift import drift_reference

from .command import run

LOAD, AIM = 0.8, 1.25
_WARM_UP = 10
_CAMERAS = ("left", "right")


class Ticking:
    """A live camera that gives an image at fixed moments.

    Args:
        name: Its name.
        images: Given in turn.
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
        """The next image at its moment, which is that of its capture however late it is fetched."""
        if self._next == self._frames:
            return NoFrame.END
        due_s = self._first_s + self._next * self._period_s
        ahead_s = due_s - time.monotonic()
        if ahead_s > 0:
            time.sleep(min(ahead_s, timeout_s))
        if ahead_s > timeout_s:
            return NoFrame.YET
        number, self._next = self._next, self._next + 1
        picture = self._pictures[number % len(self._pictures)].copy()
        return Frame(self.name, number, frame_name(number), time.time(), picture, clock_s=due_s)


@dataclass(frozen=True)
class Timing:
    """Milliseconds: 50th and 99th percentile."""

    p50_ms: float
    p99_ms: float

    @classmethod
    def of(cls, times_ms: Sequence[float]) -> "Timing":
        """Of single times."""
        p50_ms, p99_ms = np.percentile(times_ms, (50, 99))
        return cls(float(p50_ms), float(p99_ms))

    def __str__(self) -> str:
        return f"{self.p50_ms:.1f} / {self.p99_ms:.1f}"


def time_inference(
    inspector: InspectorPool, pictures: list[NDArray[np.uint8]], together: int, rounds: int
) -> Timing:
    """Time the inference of so many images, with pauses in between, from the first to the last verdict."""
    times_ms = []
    for number in range(_WARM_UP + rounds):
        frames = [
            Frame(name, number, "", 0.0, pictures[(number + i) % len(pictures)])
            for i, name in enumerate(_CAMERAS[:together])
        ]
        began = time.perf_counter()
        for batch in [frames] if inspector.gains_from_batches else [[frame] for frame in frames]:
            inspector.inspect(batch)
        took_s = time.perf_counter() - began
        times_ms.append(took_s * 1000)
        time.sleep(took_s * (1 / LOAD - 1))
    return Timing.of(times_ms[_WARM_UP:])


@dataclass
class Trace:
    """Milliseconds of every frame but the first few: from capture to verdict, and what of it was what."""

    total: list[float] = field(default_factory=list)
    gate: list[float] = field(default_factory=list)
    inference: list[float] = field(default_factory=list)
    waiting: list[float] = field(default_factory=list)
    dropped: int = 0


class _TracedGate(FrameGate):
    """Notes how long it takes."""

    took_ms = 0.0

    def check(self, image_rgb: NDArray[np.uint8], *, may_repeat: bool = False) -> str:
        began = time.perf_counter()
        reason = super().check(image_rgb, may_repeat=may_repeat)
        self.took_ms = (time.perf_counter() - began) * 1000
        return reason


def trace_line(
    inspector: InspectorPool,
    pictures: list[NDArray[np.uint8]],
    output: Path,
    *,
    in_step: bool,
    period_s: float,
    frames: int,
) -> Trace:
    """Time frames from capture to verdict.

    Args:
        inspector: Knows both cameras.
        images: Given in turn by both.
        output: For events and images.
        in_step: Whether both expose at the same moment.
        period_s: Between two frames of a camera.
        frames: Of each camera.

    Raises:
        OptionError: A frame was not judged.
    """
    first_s = time.monotonic() + 0.5
    sources = {
        name: Ticking(name, pictures, first_s + (0 if in_step else number * period_s / 2), period_s, frames)
        for number, name in enumerate(_CAMERAS)
    }
    bundle = inspector.bundle(_CAMERAS[0])
    gates = {name: _TracedGate(gate_limits(bundle)) for name in _CAMERAS}
    stations = {
        name: Station(
            gate=gates[name], drift=DriftMonitor(drift_reference(bundle, threshold=None, masked=False))
        )
        for name in _CAMERAS
    }
    trace, began_s, inferred_ms = Trace(), 0.0, 0.0

    def inspect(views: Sequence[Frame]) -> Sequence[Inspection]:
        nonlocal began_s, inferred_ms
        began_s = time.monotonic()
        found = inspector.inspect(views)
        inferred_ms = (time.monotonic() - began_s) * 1000
        return found

    def note(event: Event, frame: Frame, _inspection: Inspection) -> None:
        if event.verdict is Verdict.INVALID:
            raise OptionError(f"A golden image is INVALID: {event.reason}.")
        if event.frame < _WARM_UP:
            return
        gate_ms = gates[event.camera].took_ms
        trace.total.append(event.latency_ms)
        trace.gate.append(gate_ms)
        trace.inference.append(inferred_ms)
        trace.waiting.append((began_s - frame.clock_s) * 1000 - gate_ms)

    most = len(_CAMERAS) if inspector.gains_from_batches else 1
    with Delivery(open_sinks(SinksTable(), output)) as delivery, Stream(sources) as stream:
        summary = inspect_stream(
            stream, inspect, stations=stations, outlet=delivery, on_event=note, batch=most
        )
        trace.dropped = stream.dropped
    if summary.faults:
        raise OptionError(f"The line is not as it should be: {summary.last_fault}")
    return trace


def try_line(
    inspector: InspectorPool, pictures: list[NDArray[np.uint8]], output: Path, *, in_step: bool, frames: int
) -> tuple[Timing, Trace]:
    """Time inference alone, then frames at 80 % load."""
    alone = time_inference(inspector, pictures, len(_CAMERAS) if in_step else 1, min(frames, 200))
    # Both cameras' frames take twice what one takes; those in step are all judged after the last one's time.
    turns = 1 if in_step else len(_CAMERAS)
    half = trace_line(
        inspector,
        pictures,
        output,
        in_step=in_step,
        period_s=2 * turns * alone.p50_ms / 1000 / LOAD,
        frames=_WARM_UP + min(frames, 50),
    )
    busy_ms = float(np.percentile(half.total, 75 if in_step else 50))
    full = trace_line(
        inspector, pictures, output, in_step=in_step, period_s=turns * busy_ms / 1000 / LOAD, frames=frames
    )
    return alone, full


def measure(
    bundle: Annotated[str | None, typer.Argument(help="A bundle; without it, the current one.")] = None,
    frames: Annotated[int, typer.Option(help="Frames of each camera in a round.", min=20)] = 300,
    rounds: Annotated[int, typer.Option(help="How often all is measured.", min=1)] = 3,
) -> None:
    """Time two cameras at 80 % load from capture to verdict."""
    found = find_bundle(bundle)
    pictures = [golden.image_rgb for golden in read_golden(found)]
    table = Table(title=f"{found.directory.name}: milliseconds, 50th / 99th percentile")
    for column in ("cameras", "inference", "capture to verdict", "waiting", "gate", "inferring", "dropped"):
        table.add_column(column)
    table.add_column("p99 / p99 of inference")
    table.add_column("p99 / p50")
    ratios: dict[str, list[float]] = {}
    with _inspector(found) as inspector, tempfile.TemporaryDirectory() as directory:
        for number in range(rounds):
            for title in ("taking turns", "in step"):
                output = Path(directory) / f"{title} {number}"
                alone, trace = try_line(
                    inspector, pictures, output, in_step=title == "in step", frames=frames
                )
                total = Timing.of(trace.total)
                ratios.setdefault(title, []).append(total.p99_ms / alone.p99_ms)
                parts = (Timing.of(part) for part in (trace.waiting, trace.gate, trace.inference))
                shown = [title, alone, total, *parts, f"{trace.dropped} of {len(_CAMERAS) * frames}"]
                shown += [f"{ratios[title][-1]:.2f}", f"{total.p99_ms / alone.p50_ms:.2f}"]
                table.add_row(*map(str, shown))
    out.print(table)
    for title, found_ratios in ratios.items():
        out.print(
            f"{title}: p99 is {median(found_ratios):.2f} times that of inference alone, median of rounds"
        )
    if any(median(one) > AIM for one in ratios.values()):
        raise typer.Exit(1)


def _inspector(bundle: Bundle) -> InspectorPool:
    chosen = candidates(bundle, "auto")[0]
    return InspectorPool({name: Assignment(bundle) for name in _CAMERAS}, lambda _: chosen)


if __name__ == "__main__":
    run(measure)
