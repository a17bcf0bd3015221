"""Export of networks to ONNX and TensorRT, precisions, and the runtimes."""

from .engines.engine_file import (
    EngineInfo,
    engine_name,
    is_fused,
    is_rtx_engine,
    is_rtx_engine_of,
    read_engine,
    rtx_engine_name,
    timing_cache_name,
    write_engine,
)
from .engines.gpu import compute_capability, cuda_driver_version, gpu_name
from .engines.rtx.rtx_builder import build_by_rtx, parse_by_rtx
from .engines.rtx.rtx_engine import TENSORRT_RTX, build_rtx_engine, require_rtx_machine
from .engines.rtx.rtx_library import check_capabilities, rtx_version
from .engines.tensorrt_engine import build_engine
from .engines.tensorrt_runtime import TENSORRT, EngineKind, TensorrtRuntime
from .engines.tensorrt_searching import TensorrtSearchingRuntime
from .graphs.bank_graph import SCORE, write_bank_search
from .graphs.fixed_shapes import fixed_shapes
from .graphs.gaussian_graph import write_gaussian_distances
from .graphs.input_shapes import Shapes, input_shapes
from .graphs.onnx_file import OPSET, write_onnx
from .graphs.operators import check_operators, tensorrt_operators
from .graphs.search_graph import (
    BANK,
    BANK_SQUARED_NORMS,
    ROWS,
    SQUARED_DISTANCES,
    fuse,
    write_fused,
    write_search,
    write_search_part,
)
from .precisions.half_precision import write_fp16
from .precisions.quantisation import Int8Kind, write_int8
from .runtimes.onnx_runtime import OnnxRuntime
from .runtimes.onnx_searching import OnnxSearchingRuntime
from .runtimes.onnx_session import (
    TensorrtOptions,
    device_number,
    has_tensorrt_provider,
    onnx_devices,
    open_session,
)
from .runtimes.runtime import BoundBank, Runtime, SearchingRuntime
from .runtimes.torch_runtime import TorchRuntime, torch_device
from .triton_config import MODEL_FILES, Platform, Step, Tensor, ensemble_config, model_config

__all__ = [
    "BANK",
    "BANK_SQUARED_NORMS",
    "MODEL_FILES",
    "OPSET",
    "ROWS",
    "SCORE",
    "SQUARED_DISTANCES",
    "TENSORRT",
    "TENSORRT_RTX",
    "BoundBank",
    "EngineInfo",
    "EngineKind",
    "Int8Kind",
    "OnnxRuntime",
    "OnnxSearchingRuntime",
    "Platform",
    "Runtime",
    "SearchingRuntime",
    "Shapes",
    "Step",
    "Tensor",
    "TensorrtOptions",
    "TensorrtRuntime",
    "TensorrtSearchingRuntime",
    "TorchRuntime",
    "build_by_rtx",
    "build_engine",
    "build_rtx_engine",
    "check_capabilities",
    "check_operators",
    "compute_capability",
    "cuda_driver_version",
    "device_number",
    "engine_name",
    "ensemble_config",
    "fixed_shapes",
    "fuse",
    "gpu_name",
    "has_tensorrt_provider",
    "input_shapes",
    "is_fused",
    "is_rtx_engine",
    "is_rtx_engine_of",
    "model_config",
    "onnx_devices",
    "open_session",
    "parse_by_rtx",
    "read_engine",
    "require_rtx_machine",
    "rtx_engine_name",
    "rtx_version",
    "tensorrt_operators",
    "timing_cache_name",
    "torch_device",
    "write_bank_search",
    "write_engine",
    "write_fp16",
    "write_fused",
    "write_gaussian_distances",
    "write_int8",
    "write_onnx",
    "write_search",
    "write_search_part",
]
