"""What looking for drift costs a frame: most frames next to nothing, every tenth a test of everything.

``python -m benchmarks.drift_cost``. A made-up line on which nothing moves goes through the monitor, several
times; of every frame's times the smallest counts, since a busy machine only ever makes them larger.
"""

import time
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from pcedge.camera import DriftMonitor
from pcedge.cli.console import out

from .command import Json, Seed, facts, print_json
from .drift_streams import STREAMS, made_up_frames, made_up_reference

_TESTED = 10


def frame_us(frames: int, rounds: int, seed: int) -> NDArray[np.float64]:
    """Microseconds of a processor that each frame took, the least of so many rounds."""
    random = np.random.default_rng(seed)
    reference = made_up_reference(STREAMS["noise"].draw(random, 100))
    given = made_up_frames(STREAMS["noise"].draw(random, frames))
    least = np.full(frames, np.inf)
    for _ in range(rounds):
        monitor = DriftMonitor(reference, seed=seed)
        for number, (inspection, look) in enumerate(given):
            began = time.perf_counter_ns()
            monitor.add(inspection, look)
            least[number] = min(least[number], (time.perf_counter_ns() - began) / 1000)
    return least


def measure(
    frames: Annotated[int, typer.Option(help="Frames of the made-up line.", min=20)] = 5000,
    rounds: Annotated[int, typer.Option(help="How often they are given.", min=1)] = 5,
    max_us: Annotated[float, typer.Option(help="Microseconds that every tenth frame may cost.")] = 300.0,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Measure what looking for drift costs a frame. Exit code 1 if every tenth costs more than it may."""
    taken = frame_us(frames, rounds, seed)
    tenth = taken[_TESTED - 1 :: _TESTED]
    others = np.delete(taken, np.s_[_TESTED - 1 :: _TESTED])
    result: dict[str, Any] = {
        "frames": frames,
        "mean_us": float(taken.mean()),
        "tenth_us": float(np.median(tenth)),
        "tenth_p99_us": float(np.quantile(tenth, 0.99)),
        "others_us": float(np.median(others)),
    }
    if json:
        print_json(result)
    else:
        table = facts(f"Looking for drift in {frames} frames")
        table.add_row("mean", f"{result['mean_us']:.1f} µs a frame")
        table.add_row(
            "every tenth", f"{result['tenth_us']:.0f} µs, 99 % within {result['tenth_p99_us']:.0f} µs"
        )
        table.add_row("the others", f"{result['others_us']:.1f} µs")
        out.print(table)
    if result["tenth_us"] > max_us:
        raise typer.Exit(1)


if __name__ == "__main__":
    from .command import run

    run(measure)
