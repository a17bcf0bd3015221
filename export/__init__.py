"""A network as a file and a file as a network: ONNX, TensorRT, and the runtimes that run them."""

from .onnx_file import OPSET, write_onnx
from .onnx_runtime import OnnxRuntime
from .runtime import Runtime
from .tensorrt_engine import TensorrtRuntime, build_engine, engine_name
from .torch_runtime import TorchRuntime

__all__ = [
    "OPSET",
    "OnnxRuntime",
    "Runtime",
    "TensorrtRuntime",
    "TorchRuntime",
    "build_engine",
    "engine_name",
    "write_onnx",
]
