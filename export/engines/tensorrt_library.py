"""Import of TensorRT and Polygraphy, with an install hint if they are missing."""

import contextlib
import re
import sys
from collections.abc import Iterator
from typing import Any

from pcedge.errors import RuntimeUnavailableError

from .gpu import gpu_name

_INSTALL = (
    "On the device run: pip install 'pcedge[trt]' (on a Jetson TensorRT comes with JetPack: "
    "pip install polygraphy), then: pcedge export --trt"
)


def polygraphy_backend() -> Any:
    """Polygraphy's TensorRT backend, which carries the differences between TensorRT 8.6, 10 and 11.

    Raises:
        RuntimeUnavailableError: TensorRT or Polygraphy is missing, or this process runs engines of TensorRT
            for RTX, which Polygraphy keeps to.
    """
    try:
        import tensorrt
        from polygraphy import config
        from polygraphy.backend import trt as backend
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"TensorRT cannot be used on this machine: {error.name or 'a library'} is missing.", _INSTALL
        ) from None
    if not hasattr(tensorrt, "Builder"):  # the package of type stubs has the name, not the library
        raise RuntimeUnavailableError(
            "TensorRT cannot be used on this machine: its library is missing.", _INSTALL
        )
    if config.USE_TENSORRT_RTX:
        raise RuntimeUnavailableError(
            "This process has run engines of TensorRT for RTX, and cannot run those of TensorRT too.",
            "Name one of them: --runtime tensorrt, or --runtime tensorrt-rtx",
        )
    return backend


def tensorrt_version() -> str:
    """The installed version, ``10.3.0``; to be called once ``polygraphy_backend`` has succeeded."""
    import tensorrt

    return tensorrt.__version__


def tensorrt_major() -> int:
    """The installed major version."""
    return int(re.match(r"\d+", tensorrt_version())[0])  # type: ignore[index]


def tensorrt_gpu() -> str:
    """Name of the GPU that engines are built for.

    Raises:
        RuntimeUnavailableError: There is none.
    """
    name = gpu_name()
    if name is None:
        raise RuntimeUnavailableError(
            "This machine has no NVIDIA GPU that can be used: no driver, or no device behind it.", _INSTALL
        )
    return name


@contextlib.contextmanager
def quiet_output() -> Iterator[None]:
    """Send what Polygraphy and TensorRT report to standard error: the output belongs to the command."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def first_line(error: Exception) -> str:
    """The first line of an error of theirs, which may be pages long, or its kind where it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)
