"""TensorRT: runs an engine that was built for this GPU."""

from pathlib import Path

from pcedge.bundles.bundle import EMBEDDER_FILE, SEARCH_PART_FILE, Bundle
from pcedge.errors import BundleError, OptionError, RuntimeUnavailableError
from pcedge.export import TensorrtRuntime, TensorrtSearchingRuntime, engine_name, is_fused, is_rtx_engine

from .kind import BundleRuntime, require_for_tensorrt

_DEVICES = ("auto", "cuda")


def _open(bundle: Bundle, device: str) -> TensorrtRuntime:
    _check_device(device)
    path = _engine(bundle)
    return TensorrtSearchingRuntime(path) if is_fused(path.name) else TensorrtRuntime(path)


def _engine(bundle: Bundle) -> Path:
    require_for_tensorrt(bundle)
    name = next((name for name in _engine_names(bundle) if bundle.has(name)), None)
    if name is None:
        raise BundleError(
            f"The bundle {bundle.directory} has no TensorRT engine for this GPU and TensorRT version "
            f"(engines there: {', '.join(_engines(bundle)) or 'none'}).",
            f"Build it on this device: pcedge export --trt --model {bundle.directory}, "
            "or use --runtime onnx.",
        )
    return bundle.file(name)


def _devices(_bundle: Bundle, device: str, _others: bool) -> list[str]:
    _check_device(device)
    return ["cuda"]


def _has_engine_for(bundle: Bundle, device: str) -> bool:
    """Whether there is an engine for this machine's GPU, and that GPU is the requested device."""
    if device not in _DEVICES or not _engines(bundle):
        return False
    try:
        return any(bundle.has(name) for name in _engine_names(bundle))
    except RuntimeUnavailableError:  # built on another machine
        return False


def _engines(bundle: Bundle) -> list[str]:
    return [name for name in bundle.manifest.files if name.endswith(".engine") and not is_rtx_engine(name)]


def _engine_names(bundle: Bundle) -> list[str]:
    """File names of engines for this machine: with the search, which is preferred, and without."""
    embedder = bundle.file(EMBEDDER_FILE)
    fused = [engine_name(embedder, bundle.file(SEARCH_PART_FILE))] if bundle.has(SEARCH_PART_FILE) else []
    return [*fused, engine_name(embedder)]


def _check_device(device: str) -> None:
    if device not in _DEVICES:
        raise OptionError(
            f"A TensorRT engine cannot run on the device {device!r}, only on the GPU it was built for.",
            "Use --device auto or cuda, or --runtime onnx.",
        )


KIND = BundleRuntime("tensorrt", _open, _engine, _devices, offered=_has_engine_for)
