"""TensorRT for RTX: runs an engine that was built ahead of time for this GPU's compute capability."""

from pathlib import Path

from pcedge.bundles.bundle import EMBEDDER_FILE, SEARCH_PART_FILE, Bundle
from pcedge.errors import BundleError, ExportError, OptionError, RuntimeUnavailableError
from pcedge.export import (
    TENSORRT_RTX,
    TensorrtRuntime,
    TensorrtSearchingRuntime,
    is_fused,
    is_rtx_engine,
    is_rtx_engine_of,
    read_engine,
    require_rtx_machine,
    rtx_version,
)

from .kind import BundleRuntime, require_for_tensorrt

_DEVICES = ("auto", "cuda")


def _open(bundle: Bundle, device: str) -> TensorrtRuntime:
    _check_device(device)
    path = _engine(bundle)
    return (TensorrtSearchingRuntime if is_fused(path.name) else TensorrtRuntime)(path, TENSORRT_RTX)


def _engine(bundle: Bundle) -> Path:
    """The engine for this machine: with the search in it, which is preferred, or without.

    Raises:
        BundleError: There is none of this network.
        ExportError: None is for this GPU and this version of the library; the last one's reason.
        RuntimeUnavailableError: The library, the driver or a GPU is missing.
    """
    require_for_tensorrt(bundle)
    problem: ExportError | None = None
    for name in _engines(bundle):
        path = bundle.file(name)
        try:
            require_rtx_machine(path, read_engine(path)[0])
        except ExportError as error:
            problem = error
            continue
        return path
    if problem is not None:
        raise problem
    raise BundleError(
        f"The bundle {bundle.directory} has no engine of TensorRT for RTX.",
        "Build it, on any workstation, with: pcedge export --trt-rtx --compute 8.6,8.9 "
        f"--model {bundle.directory}",
    )


def _engines(bundle: Bundle) -> list[str]:
    """Names of the engines that were built of this very network, those with the search first."""
    names = [name for name in bundle.manifest.files if is_rtx_engine(name)]
    if not names:
        return []
    embedder = bundle.file(EMBEDDER_FILE)
    part = bundle.file(SEARCH_PART_FILE) if bundle.has(SEARCH_PART_FILE) else None
    fused = [name for name in names if part is not None and is_rtx_engine_of(name, embedder, part)]
    return fused + [name for name in names if is_rtx_engine_of(name, embedder)]


def _devices(_bundle: Bundle, device: str, _others: bool) -> list[str]:
    _check_device(device)
    return ["cuda"]


def _has_engine_for(bundle: Bundle, device: str) -> bool:
    """Whether there is an engine for this machine's GPU, and that GPU is the requested device."""
    if device not in _DEVICES or rtx_version() is None or not _engines(bundle):
        return False
    try:
        return _engine(bundle).is_file()
    except (BundleError, ExportError, RuntimeUnavailableError):  # for another machine
        return False


def _check_device(device: str) -> None:
    if device not in _DEVICES:
        raise OptionError(
            f"An engine of TensorRT for RTX cannot run on the device {device!r}, only on the first GPU.",
            "Use --device auto or cuda, or --runtime onnx.",
        )


KIND = BundleRuntime("tensorrt-rtx", _open, _engine, _devices, offered=_has_engine_for)
