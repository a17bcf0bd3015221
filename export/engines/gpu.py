"""GPU name, compute capability and CUDA version, from the NVIDIA driver."""

import ctypes
from typing import Any

_NAME_BYTES = 256
# CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR.
_CAPABILITY = (75, 76)


def gpu_name(number: int = 0) -> str | None:
    """Name of an NVIDIA GPU, or None where there is none of that number that can be used."""
    name = ctypes.create_string_buffer(_NAME_BYTES)
    driver, device = _device(number)
    if driver is None or driver.cuDeviceGetName(name, _NAME_BYTES, device):
        return None
    return name.value.decode(errors="replace")


def compute_capability(number: int = 0) -> str | None:
    """Compute capability of an NVIDIA GPU, ``8.6``, or None where there is none that can be used."""
    driver, device = _device(number)
    digits = [ctypes.c_int(), ctypes.c_int()]
    for digit, attribute in zip(digits, _CAPABILITY, strict=True):
        if driver is None or driver.cuDeviceGetAttribute(ctypes.byref(digit), attribute, device):
            return None
    return ".".join(str(digit.value) for digit in digits)


def cuda_driver_version() -> str | None:
    """The CUDA version that the driver brings, ``12.4``, or None where there is no driver."""
    version = ctypes.c_int()
    driver = _driver()
    if driver is None or driver.cuDriverGetVersion(ctypes.byref(version)):
        return None
    return f"{version.value // 1000}.{version.value % 1000 // 10}"


def _device(number: int) -> tuple[Any, ctypes.c_int]:
    """The driver and its handle of a GPU; no driver where there is no such GPU."""
    driver, device = _driver(), ctypes.c_int()
    if driver is None or driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(device), number):
        return None, device
    return driver, device


def _driver() -> Any:
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
