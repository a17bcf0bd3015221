"""Opening a bundle for inspection: choose a runtime, load the embedder, make the inspector."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pcedge.bundles.bundle import Bundle
from pcedge.bundles.manifest import Precision
from pcedge.errors import OptionError
from pcedge.export import Runtime

from .patchcore_detector import Inspector
from .precision import PrecisionChoice, precisions_for
from .region_explanation import open_pictures
from .runtime_kinds import onnx_kind, tensorrt_kind, tensorrt_rtx_kind, torch_kind
from .runtime_kinds.kind import BundleRuntime

# The registry: a kind of runtime is one file and one line here. ``auto`` tries them in this order.
RUNTIMES: tuple[BundleRuntime, ...] = (
    tensorrt_kind.KIND,
    tensorrt_rtx_kind.KIND,
    onnx_kind.KIND,
    torch_kind.KIND,
)

# ``auto``, or the name of one of ``RUNTIMES``.
RuntimeKind = str


@dataclass(frozen=True)
class Candidate:
    """A runtime, device and precision, none of them ``auto``."""

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

    The runtime is not verified here; ``verify`` does that. To judge parts on a line use ``watch``,
    ``open_line`` or ``Products``, which take bundles and verify them first.

    Args:
        bundle: An opened bundle.
        runtime: ``auto`` takes a TensorRT engine if one was built, otherwise the ONNX file.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``; for the ONNX file also ``tensorrt``, ONNX Runtime's
            TensorRT provider. On a GPU the bank is searched there.
        precision: Precision of the network, which has its own bank and threshold; None for the bundle's.
        threshold: Overrides the bundle's threshold.

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
    """Check and return a runtime given by the user."""
    if name != "auto":
        _runtime(name)
    return name


def open_runtime(bundle: Bundle, kind: RuntimeKind = "auto", device: str = "auto") -> Runtime:
    """Load a bundle's embedder, after checking its files."""
    return _possible(bundle, kind, device)[0].open(bundle, device)


def candidates(
    bundle: Bundle,
    kind: RuntimeKind = "auto",
    device: str = "auto",
    precision: PrecisionChoice = "auto",
) -> list[Candidate]:
    """Candidates to run a bundle's embedder here: float32 first, the usually fastest first.

    PyTorch is included only when requested, since an edge device does not have it. So is ONNX Runtime's
    TensorRT provider, whose first start takes minutes, until it has built its engine for this bundle.

    Args:
        bundle: An exported bundle.
        kind: ``auto`` for any runtime but PyTorch.
        device: ``auto`` for any device.
        precision: ``auto`` for those that were measured to be as good as float32, ``all`` for all that the
            bundle has.

    Raises:
        BundleError: The bundle was not exported, and nothing but PyTorch can run it.
        OptionError: An engine is requested on another device than the GPU it was built for.
    """
    found = [
        (replace(candidate, precision=one), _suits(bundle.in_precision(one), candidate))
        for one in precisions_for(bundle, precision)
        for candidate in _candidates(bundle.in_precision(one), kind, device)
    ]
    # Asked for by name it is tried in any case: a network for TensorRT runs on processors, though slowly.
    return [one for one, suits in found if suits] or [one for one, _ in found]


def _suits(bundle: Bundle, candidate: Candidate) -> bool:
    """Whether the network was quantised for this runtime, if it was quantised at all."""
    by_tensorrt = candidate.runtime.startswith("tensorrt") or candidate.device.startswith("tensorrt")
    return bundle.manifest.embedding.int8_for in (None, "tensorrt" if by_tensorrt else "cpu")


def _candidates(bundle: Bundle, kind: RuntimeKind, device: str) -> list[Candidate]:
    found: list[Candidate] = []
    for runtime in _possible(bundle, kind, device):
        devices = runtime.devices(bundle, device, bool(found))
        found += [Candidate(runtime.name, one) for one in devices]
    return found


def runtime_file(bundle: Bundle, runtime: RuntimeKind) -> Path:
    """The checked path of the file that a runtime loads.

    Raises:
        PcedgeError: It is missing or changed, or its name cannot be determined without TensorRT.
    """
    return _runtime(runtime).file(bundle)


def _possible(bundle: Bundle, kind: RuntimeKind, device: str) -> list[BundleRuntime]:
    """The requested runtime, or those that ``auto`` stands for."""
    if kind != "auto":
        return [_runtime(kind)]
    return [one for one in RUNTIMES if one.offered(bundle, device)]


def _runtime(name: str) -> BundleRuntime:
    for one in RUNTIMES:
        if one.name == name:
            return one
    names = ", ".join(["auto", *sorted(one.name for one in RUNTIMES)])
    raise OptionError(f"There is no runtime {name!r}.", f"Choose one of: {names}.")
