"""What a kind of runtime says of itself: where it runs, and how a bundle's embedder is loaded."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pcedge.bundles.bundle import EMBEDDER_FILE, Bundle
from pcedge.bundles.product_bundle import not_exported
from pcedge.export import Runtime


@dataclass(frozen=True)
class BundleRuntime:
    """A kind of runtime.

    Attributes:
        name: As ``--runtime`` takes it.
        open: Loads a bundle's embedder on a device, which may be ``auto``; its files are checked first.
        file: The file that it loads, checked.
        devices: What a device that was asked for, or ``auto``, stands for here. Told whether there is another
            runtime to try: then what is missing need not be an error yet.
        offered: Whether ``auto`` may take it for a bundle on a device.
    """

    name: str
    open: Callable[[Bundle, str], Runtime]
    file: Callable[[Bundle], Path]
    devices: Callable[[Bundle, str, bool], list[str]]
    offered: Callable[[Bundle, str], bool]


def exported_file(bundle: Bundle) -> Path:
    """The network that runs without PyTorch, checked.

    Raises:
        BundleError: The bundle was not exported, or the file is missing or changed.
    """
    if not bundle.is_exported:
        raise not_exported(bundle)
    return bundle.file(EMBEDDER_FILE)
