"""The parts of the day: what each needs, and what it measures."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pcedge.banks import ROWS_FILE, greedy_coreset, greedy_coreset_torch
from pcedge.bundles.bundle import Bundle
from pcedge.bundles.manifest import INT8_TRT, Precision
from pcedge.camera import write_dataset
from pcedge.deployment.exporting.export_bundle import export_bundle
from pcedge.errors import PcedgeError
from pcedge.export import compute_capability, gpu_name
from pcedge.fitting.fit import fit
from pcedge.fitting.options import FitOptions
from pcedge.inspection.runtimes import Candidate

from .runtimes import measured_apart

NO_GPU = "no NVIDIA GPU that can be used: no driver, or no device behind it"
# RTX 30 and 40, where there is no GPU that says what it is.
_COMPUTE = ("8.6", "8.9")
_RUNTIMES: tuple[tuple[str, str], ...] = (
    ("onnx", "cpu"),
    ("onnx", "cuda"),
    ("onnx", "tensorrt"),
    ("tensorrt", "cuda"),
    ("tensorrt-rtx", "cuda"),
)
# A runtime takes minutes where an engine is built at its first start.
_LONGEST_S = 120.0


@dataclass
class Day:
    """What the parts share.

    Attributes:
        folder: For everything that is written.
        batch: Images a call, for the throughput.
        runs: Calls that are measured.
        ends: When the whole run must be over, by the monotonic clock.
        small: Whether sizes are those of a test, whose times mean nothing.
        bundle: Fitted and exported by the parts before.
    """

    folder: Path
    batch: int
    runs: int
    ends: float
    small: bool = False
    bundle: Bundle | None = field(default=None)

    @property
    def left_s(self) -> float:
        """Seconds that are left."""
        return self.ends - time.monotonic()

    @property
    def dataset(self) -> Path:
        """The rendered line that everything is fitted on."""
        return self.folder / "line"


def run_parts(day: Day) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run every part; each gives what it measured or why it was skipped."""
    parts: dict[str, Callable[[Day], dict[str, Any]]] = {
        "coreset on CUDA": _coreset,
        "fit": _fit,
        "fit on CUDA": _fit_on_cuda,
        "export": _export,
    }
    for name, part in parts.items():
        yield name, _guarded(part, day)
    for runtime, device in _RUNTIMES:
        for precision in _precisions(runtime, device):
            candidate = Candidate(runtime, device, precision)
            yield str(candidate), _guarded(partial(_runtime, candidate=candidate), day)


def _precisions(runtime: str, device: str) -> tuple[Precision, ...]:
    """int8 is another network for processors than for TensorRT, and CUDA alone has neither."""
    if device == "cpu":
        return ("fp32", "fp16", "int8")
    by_tensorrt = "tensorrt" in (runtime, device) or runtime == "tensorrt-rtx"
    return ("fp32", "fp16", INT8_TRT) if by_tensorrt else ("fp32", "fp16")


def _guarded(part: Callable[[Day], dict[str, Any]], day: Day) -> dict[str, Any]:
    if day.left_s <= 0:
        return {"skipped": "the time is over"}
    began = time.monotonic()
    try:
        found = part(day)
    except PcedgeError as error:
        found = {"skipped": error.what}
    return found if "skipped" in found else found | {"seconds": time.monotonic() - began}


def _coreset(day: Day) -> dict[str, Any]:
    if gpu_name() is None:
        return {"skipped": NO_GPU}
    count, dims = (2_000, 32) if day.small else (50_000, 128)
    rows = np.random.default_rng(0).normal(size=(count, dims)).astype(np.float32)
    began = time.monotonic()
    there = greedy_coreset_torch(rows, count // 100, "cuda")
    on_gpu = time.monotonic() - began
    here = greedy_coreset(rows, count // 100)
    return {
        "same picks": float(np.mean(here.picks == there.picks)),
        "CUDA s": on_gpu,
        "CPU s": time.monotonic() - began - on_gpu,
    }


def _options(day: Day, device: str, name: str) -> FitOptions:
    return FitOptions(backbone="pcedge-s", device=device, name=name, models=day.folder / "models")


def _fit(day: Day) -> dict[str, Any]:
    good, defective = (8, 1) if day.small else (40, 4)
    write_dataset(day.dataset, train=good, test_good=good // 2, per_defect=defective, size=256)
    day.bundle = fit(day.dataset, _options(day, "cpu", "cpu")).bundle
    return {"bank rows": day.bundle.manifest.bank.rows}


def _fit_on_cuda(day: Day) -> dict[str, Any]:
    if gpu_name() is None:
        return {"skipped": NO_GPU}
    if day.bundle is None:
        return {"skipped": "nothing was fitted on the processor to compare with"}
    there = fit(day.dataset, _options(day, "cuda", "cuda")).bundle
    one, other = (_picks(bundle) for bundle in (day.bundle, there))
    return {
        "bank rows": there.manifest.bank.rows,
        "same picks": len(one & other) / len(one),
        "threshold over the processor's": there.manifest.threshold.score
        / day.bundle.manifest.threshold.score,
    }


def _picks(bundle: Bundle) -> set[tuple[int, ...]]:
    """Image, y and x of every row of a bank."""
    with np.load(bundle.file(ROWS_FILE), allow_pickle=False) as stored:
        columns = [
            stored[name]
            for name in stored.files
            if stored[name].ndim == 1 and stored[name].dtype.kind in "iu"
        ]
    return {tuple(int(value) for value in row) for row in zip(*columns, strict=True)}


def _export(day: Day) -> dict[str, Any]:
    if day.bundle is None:
        return {"skipped": "nothing was fitted"}
    images, here = day.dataset, compute_capability()
    plain = export_bundle(day.bundle, precisions=("fp16", "int8"), images=images)
    first = export_bundle(plain.bundle, trt=True, batch=day.batch, precisions=("int8",), images=images)
    second = export_bundle(first.bundle, trt=True, batch=day.batch, precisions=("fp32", "fp16"))
    day.bundle = second.bundle
    engines = [*first.engines, *second.engines]
    problems: list[PcedgeError | None] = [first.engine_problem]
    accepted = [one.accepted for one in (first, second) if one.accepted]
    try:
        ahead = export_bundle(
            day.bundle,
            rtx_compute=_COMPUTE if here is None else (here,),
            batch=day.batch,
            precisions=("fp32", "fp16", "int8"),
        )
        day.bundle = ahead.bundle
        engines += ahead.engines
        problems.append(ahead.engine_problem)
    except PcedgeError as error:  # no engine for this compute capability, or a network that is refused
        problems.append(error)
    return {
        "precisions": day.bundle.precisions,
        "engines": engines,
        "problems": [problem.what for problem in problems if problem is not None],
        "accepted": accepted,
    }


def _runtime(day: Day, candidate: Candidate) -> dict[str, Any]:
    if candidate.device != "cpu" and gpu_name() is None:
        return {"skipped": NO_GPU}
    if day.bundle is None:
        return {"skipped": "nothing was fitted"}
    if candidate.precision not in day.bundle.precisions:
        return {"skipped": f"the bundle has no network in {candidate.precision}"}
    return measured_apart(day.bundle, candidate, day.batch, day.runs, min(day.left_s, _LONGEST_S))
