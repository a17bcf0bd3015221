"""Bench: what is measured, what keeps to a limit, and what the images show."""

from pathlib import Path

import pytest

from pcedge.bundles.bundle import Bundle, find_bundle
from pcedge.bundles.manifest import Precision
from pcedge.core.figures import check_plot
from pcedge.core.machine import describe_machine
from pcedge.deployment.bench.bench import bench_candidates, measure
from pcedge.deployment.bench.plot import bench_figure, draw_bench
from pcedge.deployment.bench.process import measure_apart
from pcedge.deployment.bench.result import FRAME, STAGES, Bench, BenchMeasurement, Timing
from pcedge.errors import OptionError, OutputError, PcedgeError
from pcedge.inspection.runtimes import Candidate

from ...conftest import Line


def measured(
    p95: float = 12.0, image_auroc: float | None = 0.9, *, parity: bool = True, precision: Precision = "fp32"
) -> BenchMeasurement:
    times = {stage: Timing(p50=2.0, p95=3.0, p99=4.0) for stage in STAGES}
    return BenchMeasurement(
        runtime="onnx",
        device="cpu",
        precision=precision,
        called="onnxruntime (CPU)",
        frames=20,
        stages={**times, FRAME: Timing(p50=10.0, p95=p95, p99=15.0)},
        overhead=1.1,
        frames_per_second=99.0,
        peak_memory_bytes=10**9,
        network_bytes=10**6,
        bank_bytes=10**6,
        parity=parity,
        image_auroc=image_auroc,
        pixel_auroc=None,
    )


def bench(*found: BenchMeasurement) -> Bench:
    return Bench(
        bundle="models/part",
        dataset=None,
        machine=describe_machine(),
        power_mode=None,
        load=0.0,
        versions={},
        measured=found,
        skipped={},
    )


@pytest.mark.parametrize(
    ("one", "min_auroc", "max_ms", "holds"),
    [
        (measured(), None, None, True),
        (measured(), 0.9, 12.0, True),
        (measured(), 0.91, None, False),
        (measured(), None, 11.9, False),  # 95 % of the frames count, not the median
        (measured(image_auroc=None), 0.5, None, False),
        (measured(parity=False), None, None, False),
    ],
)
def test_a_runtime_keeps_to_limits_or_not(
    one: BenchMeasurement, min_auroc: float | None, max_ms: float | None, holds: bool
) -> None:
    assert one.holds(min_auroc=min_auroc, max_ms=max_ms) is holds


def test_percentiles_are_in_milliseconds() -> None:
    timing = Timing.of([number / 1000 for number in range(1, 102)])
    assert (timing.p50, timing.p95, timing.p99) == pytest.approx((51.0, 96.0, 100.0))


def test_every_stage_is_timed_and_accuracy_measured(exported_line: Line) -> None:
    found = measure(
        find_bundle("line", exported_line.models), Candidate("onnx", "cpu"), exported_line.dataset, 20
    )

    assert tuple(found.stages) == (*STAGES, FRAME)
    parts = sum(found.stages[stage].p50 for stage in STAGES)
    assert 0.1 * parts < found.frame_ms < 10 * parts
    assert found.stages[FRAME].p50 <= found.stages[FRAME].p95 <= found.stages[FRAME].p99
    assert found.image_auroc is not None
    assert found.parity
    assert found.peak_memory_bytes > found.network_bytes > 10**6


def test_a_process_of_its_own_tells_its_result_and_its_progress(exported_line: Line) -> None:
    told: list[tuple[str, int, int]] = []
    bundle = find_bundle("line", exported_line.models)

    found = measure_apart(bundle, Candidate("onnx", "cpu"), None, 20, lambda *step: told.append(step))

    assert found.image_auroc is None
    assert found.frames == 20
    assert told[-1] == ("bench", 20, 20)


def test_an_error_in_the_process_is_told_in_words(exported_line: Line, tmp_path: Path) -> None:
    bundle = find_bundle("line", exported_line.models)
    with pytest.raises(PcedgeError, match="no network in int8") as caught:
        measure_apart(bundle, Candidate("onnx", "cpu", "int8"), None, 20)
    assert "pcedge export --int8" in caught.value.hint


def test_pytorch_is_measured_beside_the_others_where_it_is_installed(exported_line: Line) -> None:
    bundle = find_bundle("line", exported_line.models)
    assert bench_candidates(bundle, "auto", "cpu", "all") == [
        Candidate("onnx", "cpu"),
        Candidate("torch", "cpu"),
    ]
    without = Bundle(bundle.directory, bundle.manifest)
    assert bench_candidates(without, "onnx", "cpu", "all") == [Candidate("onnx", "cpu")]


@pytest.mark.parametrize("image_auroc", [0.9, None])
def test_what_was_measured_can_be_seen(image_auroc: float | None) -> None:
    figure = bench_figure(bench(measured(image_auroc=image_auroc), measured(40.0, image_auroc)))

    axes = figure.axes[0]
    left, right = axes.get_xlim()
    assert left == 0.0
    assert right >= axes.dataLim.x1 > 5.0


def test_a_picture_is_written_or_the_reason_said(tmp_path: Path) -> None:
    draw_bench(bench(measured()), tmp_path / "bench.svg")
    assert (tmp_path / "bench.svg").read_text(encoding="utf-8").startswith("<?xml")
    with pytest.raises(OutputError, match="cannot be written"):
        draw_bench(bench(measured()), tmp_path / "nowhere" / "bench.png")
    with pytest.raises(OptionError, match=r"Cannot draw bench\.jpg"):
        check_plot(tmp_path / "bench.jpg")
