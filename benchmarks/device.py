"""What a bank bound to a device costs and gives: opening, binding, a frame, a product switch, a batch."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from pcedge.bundles.bundle import EMBEDDER_FILE, SEARCH_PART_FILE, Bundle
from pcedge.cli.console import out
from pcedge.export import OnnxRuntime, OnnxSearchingRuntime

from .command import Json, Seed, environment, facts, print_environment, print_json, run


def device(
    bundle: Annotated[Path, typer.Argument(help="An exported bundle.")],
    where: Annotated[
        str, typer.Option("--device", help="cuda, cuda:1, or cpu to try it without a GPU.")
    ] = "cuda",
    batch: Annotated[int, typer.Option(help="Images a call, for the throughput.", min=1)] = 32,
    runs: Annotated[int, typer.Option(help="Calls that are measured.", min=1)] = 200,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Measure ONNX Runtime with the bank on the device beside the embedder alone on the same device.

    Times are from the network's input on the processor to the result there, in milliseconds; preprocessing
    and map are not in them. A product switch binds another bank, here one of the same size.
    """
    found = {"environment": environment(), "device": where, **_measure(bundle, where, batch, runs, seed)}
    if json:
        print_json(found)
        return
    print_environment(found["environment"])
    table = facts(f"{bundle} on {found['runtime']}")
    for name, value in found.items():
        if name not in ("environment", "device", "runtime"):
            table.add_row(name, f"{value:,.2f}" if isinstance(value, float) else str(value))
    out.print(table)


def _measure(directory: Path, where: str, batch: int, runs: int, seed: int) -> dict[str, Any]:
    opened = Bundle.open(directory)
    embedder, part = opened.file(EMBEDDER_FILE), opened.file(SEARCH_PART_FILE)
    rows, size = opened.open_bank().rows, opened.manifest.preprocessing.input_size
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(batch, 3, size, size)).astype(np.float32)
    other = rng.permutation(rows)
    with OnnxRuntime(embedder, where) as alone, OnnxSearchingRuntime(embedder, part, where) as searching:
        bound = searching.bind(rows)
        frame = times_ms(lambda: bound.infer_nearest(images[:1]), runs)
        network = times_ms(lambda: alone.infer(images[:1]), runs)
        many = times_ms(lambda: bound.infer_nearest(images), max(1, runs // batch))
        bind = times_ms(lambda: searching.bind(other), max(1, runs // 10))
        return {
            "runtime": searching.name,
            "bank rows": len(rows),
            "dims": rows.shape[1],
            "frame p50 ms": float(np.median(frame)),
            "frame p99 ms": float(np.percentile(frame, 99)),
            "embedder alone p50 ms": float(np.median(network)),
            f"images a second, {batch} a call": 1e3 * batch / float(np.median(many)),
            "bind another bank p50 ms": float(np.median(bind)),
        }


def times_ms(call: Callable[[], object], runs: int) -> list[float]:
    """Milliseconds of every call but the first, which is slow."""
    taken = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        call()
        taken.append(1e3 * (time.perf_counter() - began))
    return taken[1:]


if __name__ == "__main__":
    run(device)
