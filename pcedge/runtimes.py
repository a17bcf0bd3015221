"""Opening a bundle: which runtime runs its embedder here, and the inspector that results."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast, get_args

from pcedge.bundle import BACKBONE_FILE, EMBEDDER_FILE, Bundle
from pcedge.errors import BundleError, MissingExtraError, OptionError, RuntimeUnavailableError
from pcedge.export import (
    OnnxRuntime,
    Runtime,
    TensorrtRuntime,
    TorchRuntime,
    engine_name,
    onnx_devices,
    torch_device,
)
from pcedge.inspector import Inspector
from pcedge.manifest import Precision
from pcedge.precision import PrecisionChoice, precisions_for

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
    precision: Precision = "fp32",
    threshold: float | None = None,
) -> Iterator[Inspector]:
    """Load a bundle's embedder and bank, ready to judge pictures.

    Args:
        bundle: An opened bundle.
        runtime: ``auto`` takes a TensorRT engine where one was built, otherwise the ONNX file.
        device: Where the runtime runs: ``auto``, ``cpu``, ``cuda``.
        precision: Of the network; it brings a bank and a threshold of its own.
        threshold: Used instead of the bundle's own.

    Raises:
        BundleError: A file is missing or changed, or the bundle was not exported.
        PcedgeError: The runtime is not installed or cannot load the file.
    """
    bundle = bundle.in_precision(precision)
    bank = bundle.open_bank()
    with open_runtime(bundle, runtime, device) as opened:
        yield Inspector.of(bundle.manifest, opened, bank, threshold=threshold)


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
        return TensorrtRuntime(_engine(bundle))
    return OnnxRuntime(_exported(bundle), device)


def candidates(
    bundle: Bundle,
    kind: RuntimeKind = "auto",
    device: str = "auto",
    precision: PrecisionChoice = "auto",
) -> list[Candidate]:
    """What could run a bundle's embedder here: float32 first, and the one that is fastest as a rule first.

    PyTorch is only named where it was asked for: an edge device has none.

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
        devices = onnx_devices() if device == "auto" else [device]
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
        return bundle.has(engine_name(bundle.file(EMBEDDER_FILE)))
    except RuntimeUnavailableError:  # built on another machine
        return False


def _engine(bundle: Bundle) -> Path:
    name = engine_name(bundle.file(EMBEDDER_FILE))
    if not bundle.has(name):
        raise BundleError(
            f"The bundle {bundle.directory} has no TensorRT engine for this GPU and TensorRT version "
            f"(engines there: {', '.join(_engines(bundle)) or 'none'}).",
            f"Build it on this device: pcedge export --trt --model {bundle.directory}, "
            "or use --runtime onnx.",
        )
    return bundle.file(name)


def _torch(bundle: Bundle, device: str) -> TorchRuntime:
    try:
        import torch  # noqa: F401 (a missing torch must be found before anything is read)
    except ImportError:
        raise MissingExtraError("torch", "fit", "The torch runtime") from None
    from pcedge.embedder import restore_embedder

    return TorchRuntime(restore_embedder(bundle.manifest, bundle.file(BACKBONE_FILE)), device)
