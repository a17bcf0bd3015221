"""One runtime in one precision, measured in a process of its own: two kinds of TensorRT do not share one."""

import multiprocessing
import subprocess
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures import TimeoutError as Late
from concurrent.futures.process import BrokenProcessPool
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.device import times_ms
from pcedge.bundles.bundle import EMBEDDER_FILE, Bundle
from pcedge.errors import PcedgeError
from pcedge.export import SearchingRuntime
from pcedge.inspection.runtimes import Candidate, open_runtime
from pcedge.inspection.verification.verify import verify

from .floor import peaks_of, work_of

_SHORTEST_S = 1.0


def measured_apart(
    bundle: Bundle, candidate: Candidate, batch: int, runs: int, limit_s: float
) -> dict[str, Any]:
    """Measure a runtime; the result says why it was skipped where it cannot be used."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        task = pool.submit(_measured, bundle.directory, candidate, batch, runs)
        try:
            return task.result(timeout=max(limit_s, _SHORTEST_S))
        except Late:
            for process in list(pool._processes.values()):  # the pool has no way to end one that hangs
                process.kill()
            return {"skipped": f"it took more than {limit_s:.0f} s"}
        except BrokenProcessPool:
            return {"skipped": "its process ended without a result"}


def _measured(directory: Path, candidate: Candidate, batch: int, runs: int) -> dict[str, Any]:
    try:
        bundle = Bundle.open(directory)
        certificate = verify(bundle, candidate)
        found = _times(bundle.in_precision(candidate.precision), candidate, batch, runs)
    except PcedgeError as error:
        return {"skipped": error.what}
    parity = certificate.parity
    return {
        "runtime": parity.runtime,
        "verified": parity.holds,
        "largest errors": {stage.stage: stage.largest for stage in parity.stages},
        "verdict flips": parity.flips,
        **found,
    }


def _times(bundle: Bundle, candidate: Candidate, batch: int, runs: int) -> dict[str, Any]:
    manifest, rows = bundle.manifest, bundle.open_bank().rows
    size = manifest.preprocessing.input_size
    images = np.random.default_rng(0).normal(size=(batch, 3, size, size)).astype(np.float32)
    before = _gpu_memory_mb()
    found: dict[str, Any] = {}
    with open_runtime(bundle, candidate.runtime, candidate.device) as runtime:
        if isinstance(runtime, SearchingRuntime):
            bound = runtime.bind(rows)
            call: Callable[[int], object] = lambda n: bound.infer_nearest(images[:n])  # noqa: E731
            found["another bank, p50 ms"] = float(np.median(times_ms(lambda: runtime.bind(rows), 10)))
        else:
            bank = bundle.open_bank()
            call = lambda n: bank.search(runtime.infer(images[:n]).reshape(-1, rows.shape[1]))  # noqa: E731
        one = times_ms(lambda: call(1), runs)
        many = times_ms(lambda: call(batch), max(3, runs // batch))
        found |= {
            "p50 ms": float(np.median(one)),
            "p99 ms": float(np.percentile(one, 99)),
            f"images a second, {batch} a call": 1e3 * batch / float(np.median(many)),
        }
    after = _gpu_memory_mb()
    if before is not None and after is not None:
        found["GPU memory, MB"] = after - before
    peaks = peaks_of(candidate.device.partition(":")[0], candidate.precision != "fp32")
    if peaks is not None:
        patches, network = prod(manifest.embedding.grid_hw), bundle.file(EMBEDDER_FILE)
        for count in (1, batch):
            work = work_of(network, count, patches, (len(rows), rows.shape[1]))
            found[f"floor, {count} a call, ms"] = work.floor_ms(peaks)
    return found


def _gpu_memory_mb() -> float | None:
    """Memory in use on the first GPU, or None without one."""
    asked = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return float(answer.stdout.splitlines()[0])
