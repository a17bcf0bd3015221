"""The pixel metrics on many large maps: seconds and peak memory of all of them together.

Maps are made one by one while they are measured, as an evaluation makes them: smooth noise, raised where a
defect is, every second image without one. Making them is not counted.
"""

import time
from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from pcedge.cli.console import out, progress_bars
from pcedge.core.progress import Progress
from pcedge.evaluation.metrics import PixelMetrics

from .command import Json, Seed, environment, facts, print_environment, print_json, run
from .memory import peak_memory

_DEFECT_SHARE = 0.06
_DEFECTS = 3


def measure(images: int, size: int, limit: float, seed: int, progress: Progress) -> dict[str, Any]:
    """Measure made-up maps.

    Args:
        images: How many.
        size: Side in pixels.
        limit: Of the AUPRO.
        seed: Of the maps.
        progress: Called with maps added.
    """
    seconds, cpu, defect_pixels = 0.0, 0.0, 0
    with peak_memory() as peak, PixelMetrics(limit) as metrics:
        for done, (score_map, mask) in enumerate(_maps(images, size, seed), 1):
            defect_pixels += int(mask.sum())
            began, cpu_began = time.perf_counter(), time.process_time()
            metrics.add(score_map, mask)
            seconds += time.perf_counter() - began
            cpu += time.process_time() - cpu_began
            progress("maps", done, images)
        began, cpu_began = time.perf_counter(), time.process_time()
        found = metrics.compute()
        compute_s = time.perf_counter() - began
        cpu += time.process_time() - cpu_began
    return {
        "images": images,
        "size": size,
        "pixels": images * size * size,
        "defect_pixels": defect_pixels,
        "add_s": seconds,
        "compute_s": compute_s,
        "total_s": seconds + compute_s,
        "cpu_s": cpu,
        "peak_mb": peak.above_mb,
        "before_mb": peak.before_mb,
        "metrics": {name: metric.to_dict() for name, metric in vars(found).items()},
    }


def _maps(images: int, size: int, seed: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    import cv2

    rng = np.random.default_rng(seed)
    side = max(1, int(size * (_DEFECT_SHARE / _DEFECTS) ** 0.5))
    for number in range(images):
        coarse = rng.standard_normal((size // 8 + 1, size // 8 + 1), np.float32)
        score_map = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC).astype(np.float32)
        mask = np.zeros((size, size), bool)
        for _ in range(_DEFECTS if number % 2 else 0):
            y, x = rng.integers(0, size - side + 1, 2)
            mask[y : y + side, x : x + side] = True
        score_map[mask] += np.float32(1.5)
        yield score_map, mask


def main(
    images: Annotated[int, typer.Option(min=2, help="Maps.")] = 500,
    size: Annotated[int, typer.Option(min=16, help="Their side in pixels.")] = 1024,
    limit: Annotated[float, typer.Option(min=0.001, max=1, help="Of the AUPRO.")] = 0.3,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Time the pixel metrics: three AUROC and AUPRO with intervals, average precision and F1-max."""
    where = environment()
    with progress_bars() as progress:
        result = {**measure(images, size, limit, seed, progress), "limit": limit, "seed": seed, **where}
    if as_json:
        print_json(result)
    else:
        _print_table(result)


def _print_table(result: dict[str, Any]) -> None:
    table = facts(f"Pixel metrics of {result['images']} maps of {result['size']} x {result['size']}")
    table.add_row("pixels", f"{result['pixels']:,}, of which {result['defect_pixels']:,} are defect")
    table.add_row("adding", f"{result['add_s']:.1f} s")
    table.add_row("computing", f"{result['compute_s']:.1f} s")
    table.add_row("in all", f"{result['total_s']:.1f} s, {result['cpu_s']:.1f} s of processors")
    peak = "not known here" if result["peak_mb"] is None else f"{result['peak_mb']:,.0f} MB above"
    table.add_row("peak memory", f"{peak} the {result['before_mb'] or 0:,.0f} MB before")
    for name, metric in result["metrics"].items():
        interval = "" if metric["low"] is None else f" ({metric['low']:.6f} to {metric['high']:.6f})"
        table.add_row(name, f"{metric['value']:.6f}{interval}")
    out.print(table)
    print_environment(result)


if __name__ == "__main__":
    run(main)
