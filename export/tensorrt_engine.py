"""TensorRT engines: built on the device they run on, through NVIDIA's Polygraphy."""

import ctypes
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcedge.errors import ExportError, RuntimeUnavailableError

from .onnx_file import INPUT, OUTPUT

_NAME_BYTES = 256
_INSTALL = (
    "On the device run: pip install 'pcedge[trt]' (on a Jetson TensorRT comes with JetPack: "
    "pip install polygraphy), then: pcedge export --trt"
)


def engine_name() -> str:
    """File name of an engine for this machine: engines are tied to the GPU and the TensorRT version.

    Raises:
        RuntimeUnavailableError: TensorRT, Polygraphy or a GPU is missing.
    """
    tensorrt, _ = _libraries()
    return f"embedder.{_slug(_gpu_name())}.trt{_slug(tensorrt.__version__)}.engine"


def build_engine(onnx_path: Path, engine_path: Path, *, image_size: int, max_batch: int = 8) -> None:
    """Build a float32 engine, without TF32, from an ONNX file; takes minutes.

    Raises:
        RuntimeUnavailableError: TensorRT, Polygraphy or a GPU is missing.
        ExportError: TensorRT could not build it.
    """
    tensorrt, backend = _libraries()
    _gpu_name()
    one, most = (1, 3, image_size, image_size), (max_batch, 3, image_size, image_size)
    profile = backend.Profile().add(INPUT, min=one, opt=one, max=most)
    config = backend.CreateConfig(profiles=[profile], tf32=False)
    network = backend.NetworkFromOnnxPath(str(onnx_path))
    try:
        engine = backend.EngineFromNetwork(network, config)()
    except Exception as error:  # Polygraphy and TensorRT raise classes of their own
        raise ExportError(
            f"TensorRT {tensorrt.__version__} could not build an engine from {onnx_path.name} "
            f"({str(error).splitlines()[0]}).",
            "The ONNX file is unaffected: watch runs on it with --runtime onnx.",
        ) from error
    engine_path.unlink(missing_ok=True)
    engine_path.write_bytes(bytes(engine.serialize()))


class TensorrtRuntime:
    """Runs an engine that was built on this device.

    Raises:
        RuntimeUnavailableError: TensorRT, Polygraphy or a GPU is missing.
        ExportError: The engine was built for another GPU or TensorRT version, or is damaged.
    """

    def __init__(self, engine_path: Path) -> None:
        tensorrt, backend = _libraries()
        self._version = str(tensorrt.__version__)
        try:
            self._runner = backend.TrtRunner(backend.EngineFromBytes(engine_path.read_bytes()))
            self._runner.activate()
        except Exception as error:  # Polygraphy and TensorRT raise classes of their own
            raise ExportError(
                f"{engine_path.name} cannot be loaded by TensorRT {self._version} on this GPU.",
                "Build it again on this device with: pcedge export --trt",
            ) from error

    @property
    def name(self) -> str:
        """``tensorrt`` and its version."""
        return f"tensorrt {self._version}"

    def infer(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map images float32 [n, 3, s, s] to embeddings float32 [n, patches, dims]."""
        try:
            outputs: dict[str, Any] = self._runner.infer({INPUT: images})
        except Exception as error:  # Polygraphy and TensorRT raise classes of their own
            raise RuntimeUnavailableError(
                f"TensorRT could not run the network ({str(error).splitlines()[0]}).",
                "Check the free memory of the device, or use --runtime onnx.",
            ) from error
        # Polygraphy hands out its own buffer, overwritten by the next call.
        return np.array(outputs[OUTPUT], np.float32)

    def __enter__(self) -> "TensorrtRuntime":
        return self

    def __exit__(self, *_: object) -> None:
        """Free the engine's device memory."""
        self._runner.deactivate()


def _libraries() -> tuple[Any, Any]:
    try:
        import tensorrt
        from polygraphy.backend import trt as backend
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"TensorRT cannot be used on this machine: {error.name or 'a library'} is missing.",
            _INSTALL,
        ) from None
    if not hasattr(tensorrt, "Builder"):  # the package of type stubs has the name, not the library
        raise RuntimeUnavailableError(
            "TensorRT cannot be used on this machine: its library is missing.", _INSTALL
        )
    return tensorrt, backend


def _gpu_name() -> str:
    """The GPU's name, asked of the driver itself, which exists wherever TensorRT does."""
    name = ctypes.create_string_buffer(_NAME_BYTES)
    device = ctypes.c_int()
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        raise RuntimeUnavailableError("This machine has no NVIDIA driver.", _INSTALL) from None
    failed = (
        driver.cuInit(0)
        or driver.cuDeviceGet(ctypes.byref(device), 0)
        or driver.cuDeviceGetName(name, _NAME_BYTES, device)
    )
    if failed:
        raise RuntimeUnavailableError(f"No NVIDIA GPU can be used (error {failed}).", _INSTALL)
    return name.value.decode(errors="replace")


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")
