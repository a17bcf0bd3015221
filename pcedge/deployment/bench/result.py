"""What a bench found: times, memory, size and accuracy of every runtime and precision, on one machine."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import psutil

from pcedge.bundles.bundle import Bundle
from pcedge.bundles.manifest import Precision
from pcedge.core.machine import Machine, describe_machine, library_versions, power_mode
from pcedge.inspection.runtimes import RuntimeKind

# In the order in which a frame passes them, each timed by itself.
STAGES = ("preprocessing", "embedding", "search", "map")
FRAME = "frame"  # the whole way, from decoded image to verdict and map


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Percentiles of a time, in milliseconds."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Timing":
        """Percentiles of so many measurements."""
        p50, p95, p99 = np.percentile(seconds, [50, 95, 99]) * 1000
        return cls(p50=float(p50), p95=float(p95), p99=float(p99))


class BenchMeasurement(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured of one runtime in one precision.

    Attributes:
        runtime: Kind of runtime, ``onnx``.
        device: Where it ran.
        precision: Of the network.
        called: The runtime as it names itself.
        frames: Frames timed.
        stages: Times of ``STAGES``, each by itself, and of the whole ``frame``.
        overhead: The whole frame in relation to embedding and search alone, medians.
        frames_per_second: One frame after another, verdict and map of each.
        peak_memory_bytes: Most memory the process held, libraries included.
        network_bytes: Size of what the runtime loads.
        bank_bytes: Size of the bank.
        parity: Whether it scores like the reference on the golden frames.
        image_auroc: On the labelled images that were given; None without.
        pixel_auroc: Likewise.
    """

    runtime: RuntimeKind
    device: str
    precision: Precision
    called: str
    frames: int
    stages: dict[str, Timing]
    overhead: float
    frames_per_second: float
    peak_memory_bytes: int
    network_bytes: int
    bank_bytes: int
    parity: bool
    image_auroc: float | None
    pixel_auroc: float | None

    @property
    def frame_ms(self) -> float:
        """Median time from decoded image to verdict and map, in milliseconds."""
        return self.stages[FRAME].p50

    def holds(self, *, min_auroc: float | None = None, max_ms: float | None = None) -> bool:
        """Whether it scores like the reference, is accurate enough and (95 % of the frames) fast enough."""
        accurate = min_auroc is None or (self.image_auroc is not None and self.image_auroc >= min_auroc)
        fast = max_ms is None or self.stages[FRAME].p95 <= max_ms
        return self.parity and accurate and fast


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """Measurements of a bundle on one machine.

    Attributes:
        bundle: Its directory.
        dataset: The labelled images, if there were any.
        machine: What it ran on.
        power_mode: Of that machine, where it is known.
        load: Processes that wanted a core in the last minute, before the start: above 0, times are too long.
        versions: Of Python and the libraries.
        measured: What was measured.
        skipped: What could not be used here, and why.
    """

    bundle: str
    dataset: str | None
    machine: Machine
    power_mode: str | None
    load: float
    versions: dict[str, str]
    measured: tuple[BenchMeasurement, ...]
    skipped: dict[str, str]


def describe_bench(
    bundle: Bundle,
    dataset: Path | None,
    load: float,
    measured: Sequence[BenchMeasurement],
    skipped: dict[str, str],
) -> Bench:
    """Put measurements together with what they were made on."""
    return Bench(
        bundle=str(bundle.directory),
        dataset=None if dataset is None else str(dataset),
        machine=describe_machine(),
        power_mode=power_mode(),
        load=load,
        versions=library_versions(),
        measured=tuple(measured),
        skipped=skipped,
    )


def load_average() -> float:
    """Processes that wanted a core in the last minute."""
    return float(psutil.getloadavg()[0])
