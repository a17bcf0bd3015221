"""Bench: how fast a runtime judges on this machine, stage by stage, and how accurately."""

import resource
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import INDEX_FILE
from pcedge.bundles.bundle import BACKBONE_FILE, Bundle
from pcedge.core.progress import Progress, silent
from pcedge.core.scoring import image_score
from pcedge.datasets import Dataset, labelled_images, open_dataset, read_content
from pcedge.errors import DatasetError, ImageError
from pcedge.evaluation.evaluate import evaluate
from pcedge.inspection.patchcore_detector import Inspector, Stages
from pcedge.inspection.precision import PrecisionChoice
from pcedge.inspection.runtimes import Candidate, RuntimeKind, candidates, open_inspector, runtime_file
from pcedge.inspection.verification.golden import read_golden
from pcedge.inspection.verification.parity import measure_parity

from .result import FRAME, STAGES, BenchMeasurement, Timing

_WARM_UP = 5
_PICTURES = 64


def measure(
    bundle: Bundle, candidate: Candidate, dataset: Path | None, frames: int, progress: Progress = silent
) -> BenchMeasurement:
    """Measure one runtime in this process.

    Args:
        bundle: An exported bundle.
        candidate: Runtime, device and precision.
        dataset: Whose test images are timed and, as far as they have labels, judged; None for golden frames.
        frames: How many frames to time.
        progress: Called with the stages ``bench`` and ``evaluate``.

    Raises:
        PcedgeError: The runtime cannot be used, or there are no images.
    """
    variant = bundle.in_precision(candidate.precision)
    golden = read_golden(variant)
    images = None if dataset is None else open_dataset(dataset)
    pictures = [frame.image_rgb for frame in golden] if images is None else _pictures(images)
    with open_inspector(
        bundle, runtime=candidate.runtime, device=candidate.device, precision=candidate.precision
    ) as inspector:
        seconds = _time(inspector, pictures, frames, progress)
        evaluation = None if images is None else evaluate(images, inspector, progress, leaks="ignore")
        return BenchMeasurement(
            runtime=candidate.runtime,
            device=candidate.device,
            precision=candidate.precision,
            called=inspector.runtime.name,
            frames=frames,
            stages={stage: Timing.of(values) for stage, values in seconds.items()},
            overhead=_overhead(seconds),
            frames_per_second=frames / sum(seconds[FRAME]),
            peak_memory_bytes=_peak_memory(),
            network_bytes=runtime_file(variant, candidate.runtime).stat().st_size,
            bank_bytes=variant.manifest.files[INDEX_FILE].size,
            parity=measure_parity(inspector, golden, candidate.precision).holds,
            image_auroc=None if evaluation is None else evaluation.image_auroc,
            pixel_auroc=None if evaluation is None else evaluation.pixel_auroc,
        )


def bench_candidates(
    bundle: Bundle, runtime: RuntimeKind, device: str, precision: PrecisionChoice
) -> list[Candidate]:
    """Everything that could run a bundle here, PyTorch too where it is installed."""
    found = candidates(bundle, runtime, device, precision)
    with_torch = runtime == "auto" and bundle.has(BACKBONE_FILE) and find_spec("torch") is not None
    if with_torch and bundle.manifest.precision in {candidate.precision for candidate in found}:
        found += candidates(bundle, "torch", device, bundle.manifest.precision)
    return found


def _pictures(dataset: Dataset) -> list[NDArray[np.uint8]]:
    """Decoded test images from all over the set, good ones and defects."""
    samples = labelled_images(dataset)
    step = max(1, len(samples) // _PICTURES)
    pictures = []
    for sample in samples[::step]:
        try:
            pictures.append(read_content(sample.path))
        except ImageError:
            continue  # evaluation says what is wrong with it
    if not pictures:
        raise DatasetError(
            f"None of the test images in {dataset.root} can be used.", "Look at them with: pcedge evaluate"
        )
    return pictures


def _time(
    inspector: Inspector, pictures: list[NDArray[np.uint8]], frames: int, progress: Progress
) -> dict[str, list[float]]:
    """Seconds of every stage and of the whole, in turns, so that all see the same machine."""
    seconds: dict[str, list[float]] = {stage: [] for stage in (*STAGES, FRAME)}
    for number, picture in enumerate(islice(cycle(pictures), _WARM_UP + frames)):
        taken = dict(zip(STAGES, _time_stages(inspector, picture), strict=True))
        began = time.perf_counter()
        inspector.inspect(picture)
        taken[FRAME] = time.perf_counter() - began
        if number >= _WARM_UP:
            for stage, value in taken.items():
                seconds[stage].append(value)
            progress("bench", number - _WARM_UP + 1, frames)
    return seconds


def _time_stages(inspector: Inspector, picture: NDArray[np.uint8]) -> Iterator[float]:
    """Seconds of each stage by itself; where the device searches, that is in the embedding's."""
    began = time.perf_counter()
    network_input = inspector.preprocessing.apply(picture)
    yield time.perf_counter() - began
    began = time.perf_counter()
    if inspector.searches_on_device:
        stages = inspector.stages_of(network_input)
        yield time.perf_counter() - began
        yield 0.0  # the search is part of the network, and of its time
    else:
        embeddings = inspector.runtime.infer(network_input[np.newaxis])[0]
        yield time.perf_counter() - began
        began = time.perf_counter()
        distances, rows = inspector.bank.search(embeddings)
        yield time.perf_counter() - began
        stages = Stages(network_input, embeddings, distances, rows, image_score(distances))
    began = time.perf_counter()
    inspector.score_map(stages)
    yield time.perf_counter() - began


def _overhead(seconds: dict[str, list[float]]) -> float:
    """Of the whole way over embedding and search: the median over frames, each compared with itself."""
    bare = np.add(seconds["embedding"], seconds["search"])
    return float(np.median(np.divide(seconds[FRAME], bare)))


def _peak_memory() -> int:
    """Most memory this process has held, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
