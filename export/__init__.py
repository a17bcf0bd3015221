"""A network as a file and a file as a network: ONNX, TensorRT, and the runtimes that run them."""

from .engine_file import EngineInfo, engine_name, read_engine, timing_cache_name, write_engine
from .fixed_shapes import fixed_shapes
from .gpu import gpu_name
from .half_precision import write_fp16
from .onnx_file import OPSET, write_onnx
from .onnx_runtime import OnnxRuntime, onnx_devices
from .operators import check_operators, tensorrt_operators
from .quantisation import Int8Kind, write_int8
from .runtime import Runtime
from .search_graph import BANK, BANK_SQUARED_NORMS, ROWS, SQUARED_DISTANCES, write_fused, write_search
from .tensorrt_engine import build_engine
from .tensorrt_runtime import TensorrtRuntime
from .torch_runtime import TorchRuntime, torch_device

__all__ = [
    "BANK",
    "BANK_SQUARED_NORMS",
    "OPSET",
    "ROWS",
    "SQUARED_DISTANCES",
    "EngineInfo",
    "Int8Kind",
    "OnnxRuntime",
    "Runtime",
    "TensorrtRuntime",
    "TorchRuntime",
    "build_engine",
    "check_operators",
    "engine_name",
    "fixed_shapes",
    "gpu_name",
    "onnx_devices",
    "read_engine",
    "tensorrt_operators",
    "timing_cache_name",
    "torch_device",
    "write_engine",
    "write_fp16",
    "write_fused",
    "write_int8",
    "write_onnx",
    "write_search",
]
