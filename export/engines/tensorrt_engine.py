"""Building of TensorRT engines with NVIDIA's Polygraphy, on the device that they run on."""

from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pcedge.errors import ExportError, RuntimeUnavailableError

from ..graphs.input_shapes import Shapes, input_shapes
from ..graphs.search_graph import BANK
from .engine_file import EngineInfo, file_sha256, write_engine
from .tensorrt_library import (
    first_line,
    polygraphy_backend,
    quiet_output,
    tensorrt_gpu,
    tensorrt_major,
    tensorrt_version,
)

if TYPE_CHECKING:
    import tensorrt

# The first in which the ONNX file alone decides every layer's precision.
_STRONGLY_TYPED = 10


def build_engine(
    onnx_path: Path,
    engine_path: Path,
    *,
    image_size: int,
    max_batch: int = 8,
    usual_batch: int = 1,
    largest_bank: tuple[int, int] | None = None,
    workspace_bytes: int | None = None,
    timing_cache: Path | None = None,
) -> EngineInfo:
    """Build an engine from an ONNX file; takes minutes.

    The precision is the file's: float32 (never TF32), float16 or int8. From TensorRT 10 on the network is
    strongly typed; TensorRT 8.6 is given the types it may use, and chooses for itself where.

    Args:
        onnx_path: An embedder, or the fused network, in any precision.
        engine_path: Where to write; an existing file is replaced.
        image_size: Side in pixels of the network's input.
        max_batch: Most images a call.
        usual_batch: How many images a call usually has.
        largest_bank: For the fused network: the most rows of a bank, for which it is tuned, and its dims.
        workspace_bytes: Most device memory that TensorRT may use while it works; None for all there is.
        timing_cache: Measurements of earlier builds on this machine, read and added to; a minute saved.

    Returns:
        Metadata of the engine file.

    Raises:
        RuntimeUnavailableError: TensorRT, Polygraphy or a GPU is missing, or this TensorRT is too old.
        ExportError: TensorRT could not build it.
    """
    backend = polygraphy_backend()
    info = EngineInfo(
        gpu=tensorrt_gpu(),
        tensorrt=tensorrt_version(),
        source=onnx_path.name,
        source_sha256=file_sha256(onnx_path),
        inputs=input_shapes(
            image_size, max_batch=max_batch, usual_batch=usual_batch, largest_bank=largest_bank
        ),
        device_memory_bytes=None,
        built=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
    if timing_cache is not None:
        timing_cache.parent.mkdir(parents=True, exist_ok=True)
    try:
        with quiet_output():
            engine = _build(backend, onnx_path, info.inputs, workspace_bytes, timing_cache)
            plan = bytes(engine.serialize())
    except RuntimeUnavailableError:
        raise
    except Exception as error:  # Polygraphy and TensorRT raise classes of their own
        raise ExportError(
            f"TensorRT {info.tensorrt} could not build an engine from {onnx_path.name} "
            f"({first_line(error)}).",
            "The ONNX file is unaffected: watch runs on it with --runtime onnx. If memory was short, a "
            "smaller --batch needs less, and so does a smaller bank (pcedge fit --coreset 1%).",
        ) from error
    info = msgspec.structs.replace(info, device_memory_bytes=_device_memory(engine))
    return write_engine(engine_path, info, plan)


def _build(
    backend: Any,
    onnx_path: Path,
    inputs: Mapping[str, Shapes],
    workspace_bytes: int | None,
    timing_cache: Path | None,
) -> "tensorrt.ICudaEngine":
    import tensorrt

    strong = tensorrt_major() >= _STRONGLY_TYPED
    network: Any = backend.NetworkFromOnnxPath(str(onnx_path), strongly_typed=strong)
    types: dict[str, bool] = {}
    if not strong:
        network = network()
        types = _types_allowed(network[1])
        if types["fp16"] and BANK in inputs:
            raise RuntimeUnavailableError(
                f"TensorRT {tensorrt_version()} may compute distances in half precision, which is wrong.",
                "Use TensorRT 10 or later, or the float32 file.",
            )
    profile = backend.Profile()
    for name, (least, usual, most) in inputs.items():
        profile.add(name, min=least, opt=usual, max=most)
    limits = None if workspace_bytes is None else {tensorrt.MemoryPoolType.WORKSPACE: workspace_bytes}
    cache = None if timing_cache is None else str(timing_cache)
    config = backend.CreateConfig(
        profiles=[profile], tf32=False, memory_pool_limits=limits, load_timing_cache=cache, **types
    )
    engine: tensorrt.ICudaEngine = backend.EngineFromNetwork(network, config, save_timing_cache=cache)()
    return engine


def _types_allowed(network: "tensorrt.INetworkDefinition") -> dict[str, bool]:
    """The types that the parsed ONNX file uses; TensorRT 8.6 must be given them."""
    import tensorrt

    layers = [network.get_layer(i) for i in range(network.num_layers)]
    half = any(
        layer.get_output_type(i) == tensorrt.DataType.HALF
        for layer in layers
        for i in range(layer.num_outputs)
    )
    return {"fp16": half, "int8": any(layer.type == tensorrt.LayerType.QUANTIZE for layer in layers)}


def _device_memory(engine: "tensorrt.ICudaEngine") -> int | None:
    # TensorRT 10.1 brought the second name, 11 dropped the first.
    for name in ("device_memory_size_v2", "device_memory_size"):
        size: int | None = getattr(engine, name, None)
        if size is not None:
            return size
    return None
