"""Hardware and library versions of this machine, as recorded in certificates."""

import os
import platform
import re
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from pcedge.banks import usable_cores
from pcedge.export import cuda_driver_version, device_number, gpu_name

# Python packages whose version may change a score.
_LIBRARIES = (
    "pcedge",
    "numpy",
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
    "pillow",
    "faiss-cpu",
    "numba",
    "llvmlite",
    "onnxruntime",
    "onnxruntime-gpu",
    "torch",
    "torchvision",
)
# The same for packages that run on GPUs.
_GPU_LIBRARIES = (
    "tensorrt",
    "tensorrt-rtx-cu13",
    "nvidia-cublas",
    "nvidia-cublas-cu12",
    "nvidia-cuda-runtime",
    "nvidia-cuda-runtime-cu12",
    "nvidia-cudnn-cu12",
    "nvidia-cudnn-cu13",
)
# File names of these libraries where they come with the system, as on a Jetson.
_SYSTEM_LIBRARIES = ("libcublas.so", "libcudart.so", "libcudnn.so", "libnvinfer.so")
_SYSTEM_FOLDERS = (
    "/usr/local/cuda/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
)
_DRIVER = Path("/proc/driver/nvidia/version")
_JETSON = Path("/etc/nv_tegra_release")
_DEVICE_TREE = Path("/proc/device-tree/model")
_PROCESSORS = Path("/proc/cpuinfo")
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The hardware, as far as it can be detected.

    Attributes:
        system: Operating system and instruction set, ``Linux x86_64``.
        board: Name of the board, as a Jetson has it.
        processor: Model of the processor.
        cores: How many cores this process may use.
        gpu: Name of the NVIDIA GPU in use; None when running on the CPU.
    """

    system: str
    board: str | None
    processor: str | None
    cores: int
    gpu: str | None


def describe_machine(device: str = "cpu") -> Machine:
    """Describe this machine for code that runs on ``device``: ``cpu``, ``cuda``, ``cuda:1``."""
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        board=_read(_DEVICE_TREE),
        processor=_processor(),
        cores=usable_cores(),
        gpu=gpu_name(device_number(device)) if _is_gpu(device) else None,
    )


def library_versions(device: str = "cpu") -> dict[str, str]:
    """Versions of Python and of the libraries that affect a score; for a GPU also the driver's.

    The result does not depend on what is already imported.
    """
    found = {"python": platform.python_version()}
    if not _is_gpu(device):
        return found | _packages(_LIBRARIES)
    driver = {"nvidia-driver": _driver_version(), "cuda-driver": cuda_driver_version()}
    found |= {name: number for name, number in driver.items() if number is not None}
    return found | _packages((*_LIBRARIES, *_GPU_LIBRARIES)) | _system_libraries()


def power_mode() -> str | None:
    """The power mode of a Jetson, otherwise the CPU frequency governor; None if unknown."""
    try:
        answer = subprocess.run(["nvpmodel", "-q"], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return _read(_GOVERNOR)
    mode = re.search(r"NV Power Mode:\s*(\S+)", answer.stdout)
    return mode[1] if mode else None


def _is_gpu(device: str) -> bool:
    return device != "cpu"


def _packages(names: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _driver_version() -> str | None:
    """Version of the GPU driver, ``550.54.15``; on a Jetson, which has no separate driver, of the system."""
    stated = re.search(r"\b\d{3,}\.\d+(?:\.\d+)?\b", _read(_DRIVER) or "")
    release = re.search(r"R\d+.*?REVISION: [\d.]+", _read(_JETSON) or "")
    if stated is None:
        return release[0] if release is not None else None
    return stated[0]


def _system_libraries() -> dict[str, str]:
    """Versions of system libraries, parsed from their file names."""
    places = [*filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":")), *_SYSTEM_FOLDERS]
    found = {}
    for name in _SYSTEM_LIBRARIES:
        files = [path.resolve().name for place in places for path in sorted(Path(place).glob(f"{name}.*"))]
        numbers = [file.removeprefix(f"{name}.") for file in files]
        if numbers:
            found[name] = " ".join(sorted(set(numbers)))
    return found


def _processor() -> str | None:
    model = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", _read(_PROCESSORS) or "", re.MULTILINE)
    return model[1].strip() if model else platform.processor() or None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\x00\n ") or None
    except OSError:
        return None
