"""What a certificate says of the machine it was made on."""

import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from pcedge.banks import usable_cores
from pcedge.export import gpu_name

# Whose version may change a score.
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
    "tensorrt",
    "nvidia-cudnn-cu12",
    "nvidia-cudnn-cu13",
)
_DEVICE_TREE = Path("/proc/device-tree/model")
_PROCESSORS = Path("/proc/cpuinfo")
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The hardware, as far as it can be known.

    Attributes:
        system: Operating system and instruction set, ``Linux x86_64``.
        board: Name of the board, as a Jetson has it.
        processor: Model of the processor.
        cores: How many cores this process may use.
        gpu: Name of the first NVIDIA GPU.
    """

    system: str
    board: str | None
    processor: str | None
    cores: int
    gpu: str | None


def describe_machine() -> Machine:
    """Look at this machine."""
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        board=_read(_DEVICE_TREE),
        processor=_processor(),
        cores=usable_cores(),
        gpu=gpu_name(),
    )


def library_versions() -> dict[str, str]:
    """Versions of Python and of the installed libraries that take part in a score."""
    found = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def power_mode() -> str | None:
    """The power mode of a Jetson, or else how the processor's clock is governed; None where unknown."""
    try:
        answer = subprocess.run(["nvpmodel", "-q"], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return _read(_GOVERNOR)
    mode = re.search(r"NV Power Mode:\s*(\S+)", answer.stdout)
    return mode[1] if mode else None


def _processor() -> str | None:
    model = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", _read(_PROCESSORS) or "", re.MULTILINE)
    return model[1].strip() if model else platform.processor() or None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\x00\n ") or None
    except OSError:
        return None
