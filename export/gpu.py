"""The GPU's name, asked of the driver itself, which exists wherever a GPU can be used."""

import ctypes

_NAME_BYTES = 256


def gpu_name() -> str | None:
    """Name of the first NVIDIA GPU, or None where there is none that can be used."""
    name = ctypes.create_string_buffer(_NAME_BYTES)
    device = ctypes.c_int()
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    failed = (
        driver.cuInit(0)
        or driver.cuDeviceGet(ctypes.byref(device), 0)
        or driver.cuDeviceGetName(name, _NAME_BYTES, device)
    )
    return None if failed else name.value.decode(errors="replace")
