"""Engine files of TensorRT for RTX: building, and running where there is a driver."""

import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pcedge.errors import ExportError, RuntimeUnavailableError

from ...graphs.input_shapes import input_shapes
from ..engine_file import EngineInfo, file_sha256, read_engine, write_engine
from ..tensorrt_library import quiet_output
from ..tensorrt_runtime import EngineKind
from .rtx_builder import Plan, build_by_rtx
from .rtx_library import check_capabilities, first_line, keep_messages, rtx_capability, rtx_library

_POLYGRAPHY = "polygraphy.backend.trt"


def build_rtx_engine(
    onnx_path: Path,
    engine_path: Path,
    compute: Sequence[str],
    *,
    image_size: int,
    max_batch: int = 8,
    usual_batch: int = 1,
    largest_bank: tuple[int, int] | None = None,
) -> tuple[EngineInfo, Plan]:
    """Build an engine from an ONNX file for GPUs of named compute capabilities; needs no GPU.

    Args:
        onnx_path: An embedder, or the fused network, in any precision.
        engine_path: Where to write; an existing file is replaced.
        compute: Compute capabilities, ``("8.6", "8.9")``: one file for all of them.
        image_size: Side in pixels of the network's input.
        max_batch: Most images a call.
        usual_batch: How many images a call usually has.
        largest_bank: For the fused network: the most rows of a bank, for which it is tuned, and its dims.

    Returns:
        Metadata of the engine file, and what was built.

    Raises:
        RuntimeUnavailableError: TensorRT for RTX is not installed.
        OptionError: It builds for no such compute capability.
        ExportError: It refuses the network.
    """
    compute = check_capabilities(compute)
    inputs = input_shapes(image_size, max_batch=max_batch, usual_batch=usual_batch, largest_bank=largest_bank)
    plan = build_by_rtx(onnx_path, inputs, compute)
    info = EngineInfo(
        gpu="",
        tensorrt=rtx_library().__version__,
        source=onnx_path.name,
        source_sha256=file_sha256(onnx_path),
        inputs=inputs,
        device_memory_bytes=None,
        built=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        compute=compute,
    )
    return write_engine(engine_path, info, plan.content), plan


def require_rtx_machine(path: Path, info: EngineInfo) -> None:
    """Check that an engine is for this machine's GPU and version of TensorRT for RTX.

    Raises:
        ExportError: It was built for others, or by TensorRT on a device.
        RuntimeUnavailableError: The library, the driver or a GPU is missing.
    """
    if not info.compute:
        raise ExportError(
            f"{path.name} was built by TensorRT on a {info.gpu}, not ahead of time.",
            "Use --runtime tensorrt, or build one with: pcedge export --trt-rtx --compute 8.6,8.9",
        )
    version = rtx_library().__version__
    if info.tensorrt != version:
        raise ExportError(
            f"{path.name} was built with TensorRT for RTX {info.tensorrt}; this machine has {version}.",
            f"{info.again} where {version} is installed, or here: pip install "
            f"tensorrt-rtx-cu13=={info.tensorrt}",
        )
    capability = rtx_capability()
    if capability not in info.compute:
        raise ExportError(
            f"{path.name} was built for compute capability {', '.join(info.compute)}; this machine's GPU has "
            f"{capability}.",
            f"Build it, on any workstation, with: pcedge export --trt-rtx --compute {capability}",
        )


def _open(engine_path: Path) -> tuple[EngineInfo, Any]:
    info, plan = read_engine(engine_path)
    require_rtx_machine(engine_path, info)
    library, backend = rtx_library(), _polygraphy()
    log = keep_messages(library)
    # Compiles for this GPU, which takes seconds.
    engine = library.Runtime(log).deserialize_cuda_engine(plan)
    if engine is None:
        raise ExportError(
            f"{engine_path.name} cannot be loaded by TensorRT for RTX {info.tensorrt} "
            f"({next(iter(log.errors), 'it gives no reason')}).",
            "Free memory on the device, update NVIDIA's driver, or use --runtime onnx. " + info.again,
        )
    try:
        with quiet_output():
            runner = backend.TrtRunner(engine)
            runner.activate()
    except Exception as error:  # Polygraphy and TensorRT raise classes of their own
        raise ExportError(
            f"{engine_path.name} cannot be started ({first_line(error)}).",
            "Free memory on the device, or use --runtime onnx.",
        ) from error
    return info, runner


def _polygraphy() -> Any:
    """Polygraphy for TensorRT for RTX: a process uses one of the two, which is chosen at its import.

    Raises:
        RuntimeUnavailableError: It is missing, or runs TensorRT in this process.
    """
    try:
        from polygraphy import config
    except ImportError:
        raise RuntimeUnavailableError(
            "Engines are run by Polygraphy, which is not installed.",
            "Install it with: pip install 'pcedge[trt-rtx]'",
        ) from None
    if _POLYGRAPHY in sys.modules and not config.USE_TENSORRT_RTX:
        raise RuntimeUnavailableError(
            "This process has run engines of TensorRT, and cannot run those of TensorRT for RTX too.",
            "Name one of them: --runtime tensorrt, or --runtime tensorrt-rtx",
        )
    config.USE_TENSORRT_RTX = True
    from polygraphy.backend import trt as backend

    return backend


TENSORRT_RTX = EngineKind("tensorrt-rtx", "pcedge export --trt-rtx", _open)
