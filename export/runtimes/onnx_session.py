"""Sessions of ONNX Runtime: available devices, options and error messages."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pcedge.errors import ExportError, MissingExtraError, RuntimeUnavailableError

from ..graphs.input_shapes import Shapes

_PROVIDERS = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
# Those that run a network as it is; TensorRT builds an engine first, which takes minutes once.
_AT_ONCE = ("cuda", "cpu")
_NAMES = {"tensorrt": "TensorRT", "cuda": "CUDA"}
_INSTALL = {"tensorrt": "pip install 'pcedge[trt]'", "cuda": "pip install 'pcedge[gpu]'"}

Provider = str | tuple[str, dict[str, str]]


@dataclass(frozen=True)
class TensorrtOptions:
    """Options of the TensorRT provider of ONNX Runtime.

    Attributes:
        cache: Directory for the engines and time measurements it makes.
        shapes: Smallest, usual and largest shape of each input. Without them an engine is built again
            whenever a shape changes.
        half: The file has half precision in it, so that TensorRT may use it too.
        quantised: The file has 8-bit quantisation in it.
    """

    cache: Path
    shapes: Mapping[str, Shapes] = field(default_factory=dict)
    half: bool = False
    quantised: bool = False


def open_session(
    network: Path | bytes, name: str, device: str, tensorrt: TensorrtOptions | None = None
) -> Any:
    """Open an ``onnxruntime.InferenceSession``.

    Args:
        network: An ONNX file, or the bytes of one.
        name: Name of the network in error messages.
        device: ``auto`` (CUDA where this build of ONNX Runtime has it), ``cpu``, ``cuda`` or ``tensorrt``;
            the latter two also with a number, ``cuda:1``.
        tensorrt: For the device ``tensorrt``.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
        RuntimeUnavailableError: The device does not exist here.
        ExportError: The file is not a usable network.
    """
    wanted = device.partition(":")[0]
    try:
        import onnxruntime
    except ImportError:
        raise _missing(wanted, f"Running {name}") from None
    providers = _providers(device, onnxruntime.get_available_providers(), tensorrt)
    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    # Threads that spin between calls take the cores away from the search that follows.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Processors without VNNI add products of 8 bits in pairs, in 16 bits, which overflow: with this, int8
    # weights are made unsigned there, and nothing does. Elsewhere it changes nothing.
    options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        # It would print that it tries again with the provider that has just failed.
        again = int(providers != ["CPUExecutionProvider"])
        session = onnxruntime.InferenceSession(network, options, providers=providers, enable_fallback=again)
    except Exception as error:  # ONNX Runtime raises a class of its own per error code
        raise ExportError(
            f"{name} cannot be loaded by ONNX Runtime ({first_line(error)}).",
            "Write it again with: pcedge export",
        ) from error
    if wanted in _NAMES and session.get_providers()[0] != _PROVIDERS[wanted]:
        raise RuntimeUnavailableError(
            f"ONNX Runtime has {_NAMES[wanted]} but could not start it, and would have run without it.",
            _libraries(wanted),
        )
    return session


def onnx_devices() -> list[str]:
    """Where this build of ONNX Runtime can run at once, the fastest first: perhaps ``cuda``, and ``cpu``.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
    """
    return [device for device in _AT_ONCE if _PROVIDERS[device] in _available()]


def has_tensorrt_provider() -> bool:
    """Whether this build of ONNX Runtime has TensorRT; its libraries may be missing all the same.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
    """
    return _PROVIDERS["tensorrt"] in _available()


def device_number(device: str) -> int:
    """Which of several devices of a kind: 1 of ``cuda:1``, 0 of ``cuda``."""
    number = device.partition(":")[2]
    return int(number) if number.isdigit() else 0


def first_line(error: Exception) -> str:
    """The first line of an error of ONNX Runtime, which may be long."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def _available() -> list[str]:
    try:
        import onnxruntime
    except ImportError:
        raise _missing("cpu", "Running an exported network") from None
    providers: list[str] = onnxruntime.get_available_providers()
    return providers


def _missing(wanted: str, purpose: str) -> MissingExtraError:
    if wanted == "tensorrt":
        return MissingExtraError("onnxruntime", "trt", purpose)
    if wanted == "cuda":
        return MissingExtraError("onnxruntime", "gpu", purpose)
    return MissingExtraError("onnxruntime", "cpu", purpose)


def _providers(device: str, available: list[str], tensorrt: TensorrtOptions | None) -> list[Provider]:
    wanted, _, number = device.partition(":")
    if wanted not in ("auto", *_PROVIDERS) or (number and not number.isdigit()):
        raise RuntimeUnavailableError(
            f"ONNX Runtime has no device {device!r}.", "Use --device auto, cpu or cuda, or tensorrt."
        )
    if wanted in _NAMES and _PROVIDERS[wanted] not in available:
        raise RuntimeUnavailableError(
            f"This build of ONNX Runtime has no {_NAMES[wanted]}.",
            f"Install it with: pip uninstall onnxruntime; {_INSTALL[wanted]}",
        )
    chosen: list[Provider] = []
    if wanted == "tensorrt":
        chosen.append((_PROVIDERS["tensorrt"], _tensorrt_options(number, tensorrt)))
    if wanted != "cpu" and _PROVIDERS["cuda"] in available:
        # Scores are compared with those measured at fit: no TF32.
        chosen.append((_PROVIDERS["cuda"], {"use_tf32": "0", "device_id": number or "0"}))
    return [*chosen, _PROVIDERS["cpu"]]


def _tensorrt_options(number: str, tensorrt: TensorrtOptions | None) -> dict[str, str]:
    # The provider has no option for it, and NVIDIA's libraries read this once, when they are loaded.
    os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
    options = {"device_id": number or "0"}
    if tensorrt is None:
        return options
    tensorrt.cache.mkdir(parents=True, exist_ok=True)
    options |= {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(tensorrt.cache),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(tensorrt.cache),
        "trt_fp16_enable": "1" if tensorrt.half else "0",
        "trt_int8_enable": "1" if tensorrt.quantised else "0",
    }
    for i, bound in enumerate(("min", "opt", "max")):
        if tensorrt.shapes:
            options[f"trt_profile_{bound}_shapes"] = ",".join(
                f"{name}:{'x'.join(map(str, shapes[i]))}" for name, shapes in tensorrt.shapes.items()
            )
    return options


def _libraries(wanted: str) -> str:
    if wanted == "tensorrt":
        return (
            "Its libraries are missing or too old: pip install 'pcedge[trt]' brings them, and the folder "
            "they are in must be in LD_LIBRARY_PATH. Or use --device cuda."
        )
    return "Check the driver and the CUDA and cuDNN versions, or use --device cpu."
