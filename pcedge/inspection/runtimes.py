"""Opening a bundle: which runtime runs its embedder here, and the inspector that results."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pcedge.bundles.bundle import EMBEDDER_FILE, Bundle
from pcedge.bundles.manifest import Precision
from pcedge.errors import OptionError
from pcedge.export import Runtime

from .patchcore_detector import Inspector
from .precision import PrecisionChoice, precisions_for
from .region_explanation import open_pictures
from .runtime_kinds import onnx_kind, tensorrt_kind, torch_kind
from .runtime_kinds.kind import BundleRuntime

# A kind of runtime is one file and one line here. ``auto`` tries them in this order.
RUNTIMES: tuple[BundleRuntime, ...] = (tensorrt_kind.KIND, onnx_kind.KIND, torch_kind.KIND)

# ``auto``, or the name of one of ``RUNTIMES``.
RuntimeKind = str


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
    if name != "auto":
        _runtime(name)
    return name


def open_runtime(bundle: Bundle, kind: RuntimeKind = "auto", device: str = "auto") -> Runtime:
    """Load a bundle's embedder; the files it is loaded from are checked first."""
    return _possible(bundle, kind, device)[0].open(bundle, device)


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
    found: list[Candidate] = []
    for runtime in _possible(bundle, kind, device):
        devices = runtime.devices(bundle, device, bool(found))
        found += [Candidate(runtime.name, one) for one in devices]
    return found


def runtime_file(bundle: Bundle, runtime: RuntimeKind) -> Path:
    """The file that a runtime loads, checked.

    Raises:
        PcedgeError: It is missing or changed, or its name cannot be known without TensorRT.
    """
    return _runtime(runtime).file(bundle)


def is_exported(bundle: Bundle) -> bool:
    """Whether the bundle has a network that runs without PyTorch."""
    return bundle.has(EMBEDDER_FILE)


def _possible(bundle: Bundle, kind: RuntimeKind, device: str) -> list[BundleRuntime]:
    """The runtime that was asked for, or those that ``auto`` stands for."""
    if kind != "auto":
        return [_runtime(kind)]
    return [one for one in RUNTIMES if one.offered(bundle, device)]


def _runtime(name: str) -> BundleRuntime:
    for one in RUNTIMES:
        if one.name == name:
            return one
    names = ", ".join(["auto", *sorted(one.name for one in RUNTIMES)])
    raise OptionError(f"There is no runtime {name!r}.", f"Choose one of: {names}.")
