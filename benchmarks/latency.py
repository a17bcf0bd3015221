"""How long networks take in ONNX Runtime, one picture at a time, alternating in one process."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_WARM_UP = 3
_CALIBRATION = 16


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
        progress: Told of the rounds done.
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


def quantize(source: Path, target: Path, images: Sequence[NDArray[np.float32]]) -> None:
    """Write a network with 8-bit convolutions (weights by channel, activations by tensor).

    Args:
        source: ONNX file in float32.
        target: Where the other goes.
        images: Inputs float32 [1, 3, s, s] to find the ranges on; more than a few add little.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Hands out the images one at a time."""

        def __init__(self) -> None:
            self.images: Iterator[NDArray[np.float32]] = iter(images[:_CALIBRATION])

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            """Return the next input, or None after the last."""
            image = next(self.images, None)
            return None if image is None else {"images": image}

    prepared = target.with_suffix(".prepared.onnx")
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        target,
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv"],
    )
    prepared.unlink()
