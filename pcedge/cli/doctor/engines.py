"""Checks of runtimes: each is opened and runs a tiny network."""

from base64 import b64decode
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pcedge.errors import PcedgeError
from pcedge.export import gpu_name, parse_by_rtx, rtx_version

from .finding import CheckResult, fail, ok, warn

# An ONNX file (opset 17) of one node: y = x + x, float32 [2].
_DOUBLE = b64decode(
    "CAgSADo1Cg4KAXgKAXgSAXkiA0FkZBIBZ1oPCgF4EgoKCAgBEgQKAggCYg8KAXkSCgoICAESBAoCCAJCBAoAEBE="
)
_GPU_BUILD = "pip uninstall onnxruntime onnxruntime-gpu; pip install 'pcedge[gpu]'"


def check_onnx_runtime(gpu: str | None) -> list[CheckResult]:
    """Run a tiny network on every device that this build of ONNX Runtime offers.

    Args:
        gpu: Name of the GPU, if any.
    """
    try:
        import onnxruntime
    except ImportError as error:
        advice = "Install one of: pip install 'pcedge[cpu]', 'pcedge[gpu]', 'pcedge[trt]'"
        return [fail("ONNX Runtime runs", f"it cannot be imported: {error}", advice)]
    onnxruntime.set_default_logger_severity(4)  # errors are reported below
    offered = onnxruntime.get_available_providers()
    found = [_run_onnx("CPUExecutionProvider", "ONNX Runtime, CPU")]
    if "CUDAExecutionProvider" in offered:
        found.append(_run_onnx("CUDAExecutionProvider", "ONNX Runtime, GPU"))
    elif gpu is not None:
        found.append(warn("ONNX Runtime, GPU", f"this build does not know the {gpu}", _GPU_BUILD))
    return found


def check_tensorrt(gpu: str | None) -> CheckResult:
    """Check that TensorRT, if installed, can build an engine."""
    spec = find_spec("tensorrt")
    if spec is None or spec.origin is None:  # a folder of that name is not the library
        if gpu is None:
            return ok("TensorRT", "not installed; it needs an NVIDIA GPU")
        return warn("TensorRT", f"not installed, and the {gpu} could use it", "pip install 'pcedge[trt]'")
    try:
        import tensorrt

        built = tensorrt.Builder(tensorrt.Logger(tensorrt.Logger.ERROR))
    except Exception as error:  # an incompatible driver can raise anything
        return fail("TensorRT", f"cannot be used: {_short(error)}", "Let driver and TensorRT fit each other.")
    if built is None:
        return fail("TensorRT", "makes no builder", "Check the driver: nvidia-smi")
    return ok("TensorRT", f"{tensorrt.__version__} works")


def check_tensorrt_rtx() -> CheckResult:
    """Check that TensorRT for RTX, if installed, reads a network; it needs no GPU for that."""
    name, version = "TensorRT for RTX", rtx_version()
    if version is None:
        return ok(name, "not installed; only export --trt-rtx and its engines need it")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "double.onnx"
        path.write_bytes(_DOUBLE)
        try:
            parse_by_rtx(path)
        except PcedgeError as error:
            return fail(name, error.what, "Reinstall it: pip install --force-reinstall tensorrt-rtx-cu13")
    return ok(name, f"{version} parses networks")


def check_torch() -> CheckResult:
    """Check that PyTorch, which only fit and export need, can compute."""
    if find_spec("torch") is None:
        return ok("PyTorch", "not installed; only fit and export need it")
    try:
        import torch

        right = (torch.ones(2) + 1).tolist() == [2.0, 2.0]
        where = "with CUDA" if torch.cuda.is_available() else "on the processor"
    except Exception as error:  # a broken installation can raise anything
        return fail("PyTorch", f"cannot be used: {_short(error)}", "pip install --force-reinstall torch")
    if not right:
        return fail("PyTorch", "computes wrongly", "pip install --force-reinstall torch")
    return ok("PyTorch", f"{torch.__version__} works {where}")


def find_gpu() -> str | None:
    """Name of the first usable NVIDIA GPU."""
    return gpu_name()


def _run_onnx(provider: str, subject: str) -> CheckResult:
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(_DOUBLE, providers=[provider])
        used = session.get_providers()[0]
        (doubled,) = session.run(None, {"x": np.array([1, 2], np.float32)})
    except Exception as error:  # ONNX Runtime's error classes are not public
        advice = "Reinstall it: pip install --force-reinstall onnxruntime, or onnxruntime-gpu with a GPU"
        return fail(subject, f"cannot run a network: {_short(error)}", advice)
    if used != provider:
        advice = "CUDA or cuDNN is missing or does not fit the driver; see nvidia-smi."
        return warn(subject, "offered, but it falls back to the processor", advice)
    if doubled.tolist() != [2.0, 4.0]:
        return fail(subject, f"computes wrongly: {doubled.tolist()} for 2, 4", f"Reinstall it: {_GPU_BUILD}")
    return ok(subject, f"{onnxruntime.__version__} runs a network")


def _short(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__
