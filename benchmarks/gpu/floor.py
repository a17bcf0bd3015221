"""The least time that a frame could take: its operations and bytes over the device's measured peaks."""

import time
from collections.abc import Callable
from functools import cache
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

_SIDE, _COPIED = 2048, 2**27
_RUNS = 5


class Peaks(NamedTuple):
    """What a device was measured to do: operations a second in a large product, bytes a second in a copy."""

    operations: float
    bytes: float


class Work(NamedTuple):
    """What one call takes: operations (a multiply and an add are two), and bytes that must be read."""

    operations: float
    bytes: float

    def floor_ms(self, peaks: Peaks) -> float:
        """The larger of the two times, in milliseconds."""
        return 1e3 * max(self.operations / peaks.operations, self.bytes / peaks.bytes)


def work_of(embedder: Path, batch: int, patches: int, bank: tuple[int, int]) -> Work:
    """The work of a network and of the search behind it, for a batch."""
    rows, dims = bank
    search = 2.0 * batch * patches * rows * dims
    return Work(batch * _operations(embedder) + search, embedder.stat().st_size + 4.0 * rows * dims)


@cache
def peaks_of(device: str, half: bool) -> Peaks | None:
    """Measure a device; None for a GPU without PyTorch that can use it. Precision is float32 or float16."""
    if device == "cpu":
        return _of_processor()
    try:
        import torch
    except ImportError:
        return None
    return _of_gpu(torch, half) if torch.cuda.is_available() else None


def _of_processor() -> Peaks:
    square = np.ones((_SIDE, _SIDE), np.float32)
    bulk = np.ones(_COPIED // 4, np.float32)
    product, copy = _best_s(lambda: square @ square), _best_s(bulk.copy)
    return Peaks(2 * _SIDE**3 / product, 2 * _COPIED / copy)


def _of_gpu(torch: Any, half: bool) -> Peaks:
    torch.backends.cuda.matmul.allow_tf32 = False
    kind = torch.float16 if half else torch.float32
    square = torch.ones(4 * _SIDE, 4 * _SIDE, dtype=kind, device="cuda")
    bulk = torch.ones(_COPIED, dtype=torch.uint8, device="cuda")

    def done(call: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            call()
            torch.cuda.synchronize()

        return run

    product, copy = _best_s(done(lambda: square @ square)), _best_s(done(bulk.clone))
    return Peaks(2 * (4 * _SIDE) ** 3 / product, 2 * _COPIED / copy)


def _best_s(call: Callable[[], object]) -> float:
    taken = []
    for _ in range(_RUNS):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return min(taken)


@cache
def _operations(embedder: Path) -> float:
    """Of one image in the convolutions and products of a network."""
    import onnx

    model = onnx.load(embedder)
    for value in (*model.graph.input, *model.graph.output):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param:
                size.dim_value = 1
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {one.name: tuple(one.dims) for one in graph.initializer} | {
        value.name: tuple(size.dim_value for size in value.type.tensor_type.shape.dim)
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    return sum(_of_node(node, shapes) for node in graph.node)


def _of_node(node: Any, shapes: dict[str, tuple[int, ...]]) -> float:
    if node.op_type == "Conv":  # the kernel of one output value is all but the first size of the weights
        return 2.0 * prod(shapes[node.output[0]]) * prod(shapes[node.input[1]][1:])
    if node.op_type in ("MatMul", "Gemm"):
        return 2.0 * prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
    return 0.0
