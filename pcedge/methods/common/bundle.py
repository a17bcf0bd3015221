"""The bundle of a baseline on disk."""

from dataclasses import dataclass
from pathlib import Path

from pcedge.bundles.manifest import EXACT, Precision, read_manifest_as
from pcedge.bundles.product_bundle import ProductBundle
from pcedge.core.files import recover
from pcedge.errors import BundleError, OptionError

from .manifest import BaselineManifest

# The network, from images to the scorer's input, as ONNX.
DETECTOR_FILE = "detector.onnx"


@dataclass(frozen=True)
class BaselineBundle(ProductBundle[BaselineManifest]):
    """The bundle of a baseline on disk."""

    @classmethod
    def open(cls, directory: Path) -> "BaselineBundle":
        """Read a bundle's manifest; its files are checked as they are used.

        Raises:
            BundleError: It cannot be read.
        """
        recover(directory, remove=False)
        return cls(directory, read_manifest_as(BaselineManifest, directory))

    @property
    def is_exported(self) -> bool:
        """Whether it has a network that runs without PyTorch."""
        return self.has(DETECTOR_FILE)

    def in_precision(self, precision: Precision) -> "BaselineBundle":
        """The bundle itself: baselines compute in float32.

        Raises:
            BundleError: Another precision is requested.
        """
        if precision != "fp32":
            raise BundleError(
                f"The bundle {self.directory} has no network in {precision}: "
                f"{self.manifest.method} computes in float32.",
                "Leave out --precision.",
            )
        return self

    def searched_by(self, index: str | None) -> "BaselineBundle":
        """The bundle itself: baselines have no memory bank to be searched by an index.

        Raises:
            OptionError: An index other than exact search is requested.
        """
        if index not in (None, EXACT):
            raise OptionError(
                f"The bundle {self.directory} of {self.manifest.method} has no memory bank, "
                f"so no index {index!r}.",
                "Leave out --index.",
            )
        return self
