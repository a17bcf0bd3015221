"""The day with a GPU: what it skips, and why; what a frame takes at the least."""

import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.gpu.floor import Peaks, Work, work_of
from benchmarks.gpu.page import page
from benchmarks.gpu.parts import NO_GPU, Day, run_parts

onnx = pytest.importorskip("onnx")


def _day(folder: Path, ends: float) -> Day:
    return Day(folder, batch=2, runs=1, ends=ends, small=True)


def test_when_the_time_is_over_every_part_says_so(tmp_path: Path) -> None:
    found = dict(run_parts(_day(tmp_path, time.monotonic() - 1)))

    assert {part["skipped"] for part in found.values()} == {"the time is over"}
    for runtime in (
        "onnx on cuda",
        "onnx on tensorrt in int8-trt",
        "tensorrt on cuda",
        "tensorrt-rtx on cuda",
    ):
        assert runtime in found
    assert not list(tmp_path.iterdir())


def test_without_a_gpu_what_needs_one_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.gpu.parts.gpu_name", lambda: None)
    for part in ("_fit", "_export"):
        monkeypatch.setattr(f"benchmarks.gpu.parts.{part}", lambda day: {"bank rows": 1})

    found = dict(run_parts(_day(tmp_path, time.monotonic() + 60)))

    assert found["coreset on CUDA"] == found["onnx on cuda"] == {"skipped": NO_GPU}
    assert found["fit"]["bank rows"] == 1
    assert found["onnx on cpu"] == {"skipped": "nothing was fitted"}
    text = page({"gpu": None, "seconds": 1.0, "parts": found})
    assert f"- coreset on CUDA: {NO_GPU}" in text
    assert "| fit | bank rows: 1;" in text


def test_the_floor_counts_the_network_and_the_search(tmp_path: Path) -> None:
    """A convolution of 4 kernels 3 x 3 x 3 on 8 x 8 pixels, and a search of 64 patches in 10 rows of 4."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])],
        "g",
        [helper.make_tensor_value_info("x", kind, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("y", kind, ["batch", 4, 8, 8])],
        [onnx.numpy_helper.from_array(np.zeros((4, 3, 3, 3), np.float32), "w")],
    )
    path = tmp_path / "e.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)

    work = work_of(path, 2, 64, (10, 4))

    assert work.operations == 2 * 2 * (4 * 64 * 27) + 2 * 2 * 64 * 10 * 4
    assert work.bytes == path.stat().st_size + 4 * 10 * 4
    assert Work(100, 10).floor_ms(Peaks(1000, 1)) == 10_000
    assert Work(100, 10).floor_ms(Peaks(1, 1000)) == 100_000
