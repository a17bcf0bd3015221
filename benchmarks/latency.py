"""How long networks take in ONNX Runtime, one image at a time, alternating in one process."""

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_WARM_UP = 3


def latencies_ms(
    files: Mapping[str, Path],
    image: NDArray[np.float32],
    *,
    threads: int,
    runs: int,
    progress: Callable[[int, int], None],
) -> dict[str, float]:
    """Median milliseconds of each network; every round runs each once, so that all see the same machine.

    Args:
        files: ONNX files with one input, by name.
        image: The input, float32 [1, 3, s, s].
        threads: Threads that one call may use.
        runs: Rounds that are measured.
        progress: Called with the rounds done.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    sessions = {
        name: onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        for name, path in files.items()
    }
    taken: dict[str, list[float]] = {name: [] for name in files}
    for done in range(-_WARM_UP, runs):
        for name, session in sessions.items():
            began = time.perf_counter()
            session.run(None, {session.get_inputs()[0].name: image})
            if done >= 0:
                taken[name].append(1e3 * (time.perf_counter() - began))
        progress(max(0, done + 1), runs)
    return {name: statistics.median(times) for name, times in taken.items()}
