"""Import of TensorRT for RTX, its messages, and the compute capabilities that it builds for."""

import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pcedge.errors import OptionError, RuntimeUnavailableError

from ..gpu import compute_capability

_PACKAGE = "tensorrt-rtx-cu13"
_INSTALL = (
    "On x86-64 Linux run: pip install 'pcedge[trt-rtx]'. Elsewhere, and on a Jetson, engines are built by "
    "TensorRT on the device: pcedge export --trt"
)


def rtx_library() -> Any:
    """The library, which parses and builds without a GPU and runs with one.

    Raises:
        RuntimeUnavailableError: It is missing, or a library that it needs is.
    """
    try:
        import tensorrt_rtx
    except (ImportError, OSError) as error:
        raise RuntimeUnavailableError(
            f"TensorRT for RTX cannot be used on this machine: {first_line(error)}.", _INSTALL
        ) from None
    return tensorrt_rtx


def rtx_version() -> str | None:
    """The installed version, ``1.7.1.116``, found without loading 200 MB; None if it is not installed."""
    try:
        return version(_PACKAGE)
    except PackageNotFoundError:
        return None


def rtx_capability() -> str:
    """Compute capability of the GPU that would run an engine, ``8.6``.

    Raises:
        RuntimeUnavailableError: There is no driver or no GPU.
    """
    found = compute_capability()
    if found is None:
        raise RuntimeUnavailableError(
            "This machine has no NVIDIA GPU that can be used: no driver, or no device behind it.",
            "Install NVIDIA's driver for CUDA 13, or use --runtime onnx.",
        )
    return found


def rtx_capabilities(library: Any) -> dict[str, Any]:
    """What engines can be built for: the library's own values by compute capability, ``8.6``."""
    members = library.ComputeCapability.__members__
    return {
        f"{name[2:-1]}.{name[-1]}": value for name, value in members.items() if re.fullmatch(r"SM\d+", name)
    }


def check_capabilities(wanted: Sequence[str]) -> tuple[str, ...]:
    """Check and sort compute capabilities given by the user, each once.

    Raises:
        OptionError: There is none, or one that the library does not build for.
        RuntimeUnavailableError: The library is missing.
    """
    known = rtx_capabilities(rtx_library())
    for one in wanted:
        if one not in known:
            raise OptionError(
                f"TensorRT for RTX builds no engine for compute capability {one!r}.",
                f"Choose among {', '.join(known)}, separated by commas: --compute 8.6,8.9",
            )
    if not wanted:
        raise OptionError("No compute capability is named.", "Name those of the devices: --compute 8.6,8.9")
    return tuple(one for one in known if one in wanted)


def keep_messages(library: Any) -> Any:
    """A logger that keeps what the library warns of (``warnings``) and what failed (``errors``)."""

    class Kept(library.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            library.ILogger.__init__(self)
            self.warnings: list[str] = []
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            kinds = {"WARNING": self.warnings, "ERROR": self.errors, "INTERNAL_ERROR": self.errors}
            kinds.get(severity.name, []).append(message)

    return Kept()


def first_line(error: Exception) -> str:
    """The first line of an error, or its kind where it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)
