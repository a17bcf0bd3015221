"""ONNX Runtime: runs the exported ONNX file."""

from pathlib import Path

from pcedge.bundles.bundle import EMBEDDER_FILE, SEARCH_PART_FILE, Bundle
from pcedge.bundles.manifest import INT8_TRT
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
    """On a GPU also load the search, so embeddings stay there; on the CPU the bank's own search is faster."""
    path = exported_file(bundle)
    if device == "cpu" or (device == "auto" and onnx_devices()[0] == "cpu"):
        return OnnxRuntime(path, device)
    by_tensorrt = device.startswith("tensorrt")
    # If TensorRT may use half precision at all, it may also use it for distances, which is too inaccurate.
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
        return ["cpu"]  # named all the same, so that opening it reports what is missing


def _all_devices(bundle: Bundle) -> list[str]:
    """All devices; the TensorRT provider, whose first start takes minutes, only once its engine is built."""
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
        quantised=manifest.precision in ("int8", INT8_TRT),
    )


def _provider_cache(bundle: Bundle) -> Path:
    """Engine cache of ONNX Runtime's TensorRT provider; engines fit one network and one bank size."""
    network = bundle.manifest.files[EMBEDDER_FILE].sha256[:12]
    return default_cache_directory() / "tensorrt" / f"provider-{network}-{bundle.manifest.bank.rows}"


KIND = BundleRuntime("onnx", _open, exported_file, _devices, offered=lambda _bundle, _device: True)
