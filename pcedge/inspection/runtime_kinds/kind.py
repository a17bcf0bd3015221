"""The description of a kind of runtime: its devices, and how it loads a bundle's embedder."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pcedge.bundles.bundle import EMBEDDER_FILE, Bundle
from pcedge.bundles.product_bundle import not_exported
from pcedge.errors import BundleError
from pcedge.export import Runtime


@dataclass(frozen=True)
class BundleRuntime:
    """A kind of runtime.

    Attributes:
        name: Its name, as for ``--runtime``.
        open: Loads a bundle's embedder on a device or ``auto``; its files are checked first.
        file: The checked path of the file that it loads.
        devices: Resolves a requested device, or ``auto``, to devices of this machine. The flag says whether
            there are other runtimes to try: then a missing dependency is no error yet.
        offered: Whether ``auto`` may choose it for a bundle on a device.
    """

    name: str
    open: Callable[[Bundle, str], Runtime]
    file: Callable[[Bundle], Path]
    devices: Callable[[Bundle, str, bool], list[str]]
    offered: Callable[[Bundle, str], bool]


def exported_file(bundle: Bundle) -> Path:
    """The checked path of the network that runs without PyTorch.

    Raises:
        BundleError: The bundle was not exported, or the file is missing or changed.
    """
    if not bundle.is_exported:
        raise not_exported(bundle)
    return bundle.file(EMBEDDER_FILE)


def require_for_tensorrt(bundle: Bundle) -> None:
    """Check that an int8 network was not quantised for processors, which TensorRT does not take.

    Raises:
        BundleError: It was.
    """
    if bundle.manifest.embedding.int8_for == "cpu":
        raise BundleError(
            f"The network in {bundle.directory} was quantised for processors, and TensorRT does not take it.",
            "Use --precision int8-trt with TensorRT; it is made by: pcedge export --int8 --trt, or --trt-rtx",
        )
