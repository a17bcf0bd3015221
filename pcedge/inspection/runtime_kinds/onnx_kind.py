"""ONNX Runtime on the exported file."""

from pathlib import Path

from pcedge.bundles.bundle import EMBEDDER_FILE, SEARCH_PART_FILE, Bundle
from pcedge.core.defaults import DEFAULT_BATCH, default_cache_directory
from pcedge.errors import MissingExtraError
from pcedge.export import (
    OnnxRuntime,
    OnnxSearchingRuntime,
    TensorrtOptions,
    has_tensorrt_provider,
    input_shapes,
    onnx_devices,
)

from .kind import BundleRuntime, exported_file


def _open(bundle: Bundle, device: str) -> OnnxRuntime:
    """On a GPU the search too, so that embeddings stay there; on a processor the bank's own is faster."""
    path = exported_file(bundle)
    if device == "cpu" or (device == "auto" and onnx_devices()[0] == "cpu"):
        return OnnxRuntime(path, device)
    by_tensorrt = device.startswith("tensorrt")
    # Where TensorRT may use half precision at all, it may use it for distances too, which is wrong.
    fused = bundle.has(SEARCH_PART_FILE) and not (by_tensorrt and bundle.manifest.precision != "fp32")
    options = _provider_options(bundle, fused=fused) if by_tensorrt else None
    if not fused:
        return OnnxRuntime(path, device, options)
    searching = OnnxSearchingRuntime(path, bundle.file(SEARCH_PART_FILE), device, options)
    return searching if searching.on_gpu else OnnxRuntime(path, "cpu")


def _devices(bundle: Bundle, device: str, others: bool) -> list[str]:
    exported_file(bundle)
    if device != "auto":
        return [device]
    try:
        return _all_devices(bundle)
    except MissingExtraError:
        if not others:
            raise
        return ["cpu"]  # named all the same, so that whoever tries it says what is missing


def _all_devices(bundle: Bundle) -> list[str]:
    """Its TensorRT provider, whose first start takes minutes, only once it has made its engine."""
    devices = onnx_devices()
    made = "cuda" in devices and has_tensorrt_provider() and any(_provider_cache(bundle).glob("*.engine"))
    return ["tensorrt", *devices] if made else devices


def _provider_options(bundle: Bundle, *, fused: bool) -> TensorrtOptions:
    manifest = bundle.manifest
    return TensorrtOptions(
        _provider_cache(bundle),
        input_shapes(
            manifest.preprocessing.input_size,
            max_batch=DEFAULT_BATCH,
            largest_bank=(manifest.bank.rows, manifest.embedding.dims) if fused else None,
        ),
        half=manifest.precision == "fp16",
        quantised=manifest.precision == "int8",
    )


def _provider_cache(bundle: Bundle) -> Path:
    """Where ONNX Runtime's TensorRT provider keeps its engines: they fit one network and one size of bank."""
    network = bundle.manifest.files[EMBEDDER_FILE].sha256[:12]
    return default_cache_directory() / "tensorrt" / f"provider-{network}-{bundle.manifest.bank.rows}"


KIND = BundleRuntime("onnx", _open, exported_file, _devices, offered=lambda _bundle, _device: True)
