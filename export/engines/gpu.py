"""GPU name and CUDA version, from the NVIDIA driver."""

import ctypes
from typing import Any

_NAME_BYTES = 256


def gpu_name(number: int = 0) -> str | None:
    """Name of an NVIDIA GPU, or None where there is none of that number that can be used."""
    name = ctypes.create_string_buffer(_NAME_BYTES)
    device = ctypes.c_int()
    driver = _driver()
    failed = (
        driver is None
        or driver.cuInit(0)
        or driver.cuDeviceGet(ctypes.byref(device), number)
        or driver.cuDeviceGetName(name, _NAME_BYTES, device)
    )
    return None if failed else name.value.decode(errors="replace")


def cuda_driver_version() -> str | None:
    """The CUDA version that the driver brings, ``12.4``, or None where there is no driver."""
    version = ctypes.c_int()
    driver = _driver()
    if driver is None or driver.cuDriverGetVersion(ctypes.byref(version)):
        return None
    return f"{version.value // 1000}.{version.value % 1000 // 10}"


def _driver() -> Any:
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
