"""Opening a bundle: which runtime runs its embedder here, and the inspector that results."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast, get_args

from pcedge.bundles.bundle import BACKBONE_FILE, EMBEDDER_FILE, SEARCH_PART_FILE, Bundle
from pcedge.bundles.manifest import Precision
from pcedge.core.defaults import DEFAULT_BATCH, default_cache_directory
from pcedge.errors import BundleError, MissingExtraError, OptionError, RuntimeUnavailableError
from pcedge.export import (
    OnnxRuntime,
    OnnxSearchingRuntime,
    Runtime,
    TensorrtOptions,
    TensorrtRuntime,
    TensorrtSearchingRuntime,
    TorchRuntime,
    engine_name,
    has_tensorrt_provider,
    input_shapes,
    is_fused,
    onnx_devices,
    torch_device,
)

from .patchcore_detector import Inspector
from .precision import PrecisionChoice, precisions_for
from .region_explanation import open_pictures

RuntimeKind = Literal["auto", "torch", "onnx", "tensorrt"]
_ENGINE_DEVICES = ("auto", "cuda")


@dataclass(frozen=True)
class Candidate:
    """A runtime, where it runs and in which precision, none of them ``auto``."""

    runtime: RuntimeKind
    device: str
    precision: Precision = "fp32"

    def __str__(self) -> str:
        precision = "" if self.precision == "fp32" else f" in {self.precision}"
        return f"{self.runtime} on {self.device}{precision}"


@contextmanager
def open_inspector(
    bundle: Bundle,
    *,
    runtime: RuntimeKind = "auto",
    device: str = "auto",
    precision: Precision | None = None,
    threshold: float | None = None,
) -> Iterator[Inspector]:
    """Load a bundle's embedder and bank, ready to judge images.

    Nothing is proved here: to prove a runtime is to open it, run it and compare, as ``verify`` does.
    What judges parts on a line takes bundles and proves them first: ``watch``, ``open_line``, ``Products``.

    Args:
        bundle: An opened bundle.
        runtime: ``auto`` takes a TensorRT engine where one was built, otherwise the ONNX file.
        device: Where the runtime runs: ``auto``, ``cpu``, ``cuda``, ``cuda:1``; of the ONNX file also
            ``tensorrt``, by ONNX Runtime's TensorRT provider. On a GPU the bank is searched there.
        precision: Of the network, which brings a bank and a threshold of its own; None for the bundle's.
        threshold: Used instead of the bundle's own.

    Raises:
        BundleError: A file is missing or changed, or the bundle was not exported.
        PcedgeError: The runtime is not installed or cannot load the file.
    """
    bundle = bundle.in_precision(precision or bundle.manifest.precision)
    bank = bundle.open_bank()
    with open_runtime(bundle, runtime, device) as opened:
        yield Inspector.of(
            bundle.manifest,
            opened,
            bank,
            threshold=threshold,
            pictures=open_pictures(bundle),
        )


def runtime_kind(name: str) -> RuntimeKind:
    """Check the name of a runtime that a user gave."""
    if name in get_args(RuntimeKind):
        return cast(RuntimeKind, name)
    raise OptionError(f"There is no runtime {name!r}.", f"Choose one of: {', '.join(get_args(RuntimeKind))}.")


def open_runtime(bundle: Bundle, kind: RuntimeKind = "auto", device: str = "auto") -> Runtime:
    """Load a bundle's embedder; the files it is loaded from are checked first."""
    if kind == "torch":
        return _torch(bundle, device)
    if kind == "tensorrt":
        _check_engine_device(device)
    if kind == "tensorrt" or (kind == "auto" and _has_engine_for(bundle, device)):
        return _tensorrt(bundle)
    return _onnx(bundle, device)


def candidates(
    bundle: Bundle,
    kind: RuntimeKind = "auto",
    device: str = "auto",
    precision: PrecisionChoice = "auto",
) -> list[Candidate]:
    """What could run a bundle's embedder here: float32 first, and the one that is fastest as a rule first.

    PyTorch is only named where it was asked for: an edge device has none. So is ONNX Runtime's TensorRT
    provider, whose first start takes minutes, until it has made its engine for this bundle.

    Args:
        bundle: An exported bundle.
        kind: ``auto`` for any runtime but PyTorch.
        device: ``auto`` for any.
        precision: ``auto`` for those that were measured to be as good as float32, ``all`` for all there are.

    Raises:
        BundleError: The bundle was not exported, and nothing but PyTorch can run it.
        OptionError: An engine is to run on something else than the GPU it was built for.
    """
    return [
        replace(candidate, precision=one)
        for one in precisions_for(bundle, precision)
        for candidate in _candidates(bundle.in_precision(one), kind, device)
    ]


def _candidates(bundle: Bundle, kind: RuntimeKind, device: str) -> list[Candidate]:
    if kind == "torch":
        return [Candidate("torch", torch_device() if device == "auto" else device)]
    if kind == "tensorrt":
        _check_engine_device(device)
        return [Candidate("tensorrt", "cuda")]
    engines = [Candidate("tensorrt", "cuda")] if kind == "auto" and _has_engine_for(bundle, device) else []
    _exported(bundle)
    try:
        devices = _onnx_devices(bundle) if device == "auto" else [device]
    except MissingExtraError:
        if not engines:
            raise
        devices = ["cpu"]  # named all the same, so that whoever tries it says what is missing
    return [*engines, *(Candidate("onnx", one) for one in devices)]


def runtime_file(bundle: Bundle, runtime: RuntimeKind) -> Path:
    """The file that a runtime loads, checked.

    Raises:
        PcedgeError: It is missing or changed, or its name cannot be known without TensorRT.
    """
    if runtime == "torch":
        return bundle.file(BACKBONE_FILE)
    return _engine(bundle) if runtime == "tensorrt" else _exported(bundle)


def is_exported(bundle: Bundle) -> bool:
    """Whether the bundle has a network that runs without PyTorch."""
    return bundle.has(EMBEDDER_FILE)


def _exported(bundle: Bundle) -> Path:
    if not is_exported(bundle):
        raise BundleError(
            f"The bundle {bundle.directory} has not been exported.",
            f"Run: pcedge export --model {bundle.directory}",
        )
    return bundle.file(EMBEDDER_FILE)


def _onnx_devices(bundle: Bundle) -> list[str]:
    devices = onnx_devices()
    made = "cuda" in devices and has_tensorrt_provider() and any(_provider_cache(bundle).glob("*.engine"))
    return ["tensorrt", *devices] if made else devices


def _onnx(bundle: Bundle, device: str) -> OnnxRuntime:
    """On a GPU the search too, so that embeddings stay there; on a processor the bank's own is faster."""
    path = _exported(bundle)
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


def _engines(bundle: Bundle) -> list[str]:
    return [name for name in bundle.manifest.files if name.endswith(".engine")]


def _check_engine_device(device: str) -> None:
    if device not in _ENGINE_DEVICES:
        raise OptionError(
            f"A TensorRT engine cannot run on the device {device!r}, only on the GPU it was built for.",
            "Use --device auto or cuda, or --runtime onnx.",
        )


def _has_engine_for(bundle: Bundle, device: str) -> bool:
    """Whether there is an engine for the GPU here, and the device that was asked for is that GPU."""
    if device not in _ENGINE_DEVICES or not _engines(bundle):
        return False
    try:
        return any(bundle.has(name) for name in _engine_names(bundle))
    except RuntimeUnavailableError:  # built on another machine
        return False


def _engine_names(bundle: Bundle) -> list[str]:
    """What an engine for this machine is called: with the search in it, which is preferred, or without."""
    embedder = bundle.file(EMBEDDER_FILE)
    fused = [engine_name(embedder, bundle.file(SEARCH_PART_FILE))] if bundle.has(SEARCH_PART_FILE) else []
    return [*fused, engine_name(embedder)]


def _engine(bundle: Bundle) -> Path:
    name = next((name for name in _engine_names(bundle) if bundle.has(name)), None)
    if name is None:
        raise BundleError(
            f"The bundle {bundle.directory} has no TensorRT engine for this GPU and TensorRT version "
            f"(engines there: {', '.join(_engines(bundle)) or 'none'}).",
            f"Build it on this device: pcedge export --trt --model {bundle.directory}, "
            "or use --runtime onnx.",
        )
    return bundle.file(name)


def _tensorrt(bundle: Bundle) -> TensorrtRuntime:
    path = _engine(bundle)
    return TensorrtSearchingRuntime(path) if is_fused(path.name) else TensorrtRuntime(path)


def _torch(bundle: Bundle, device: str) -> TorchRuntime:
    try:
        import torch  # noqa: F401 (a missing torch must be found before anything is read)
    except ImportError:
        raise MissingExtraError("torch", "fit", "The torch runtime") from None
    from pcedge.networks.embedder import restore_embedder

    return TorchRuntime(restore_embedder(bundle.manifest, bundle.file(BACKBONE_FILE)), device)
