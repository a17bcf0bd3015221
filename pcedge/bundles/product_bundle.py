"""The interface of bundles of all methods."""

from abc import ABC, abstractmethod
from typing import Any

from pcedge.errors import BundleError

from .files import AnyManifest_co, BundleFiles
from .manifest import Precision


class ProductBundle(BundleFiles[AnyManifest_co], ABC):
    """A bundle of any method on disk."""

    @property
    @abstractmethod
    def is_exported(self) -> bool:
        """Whether it has a network that runs without PyTorch."""

    @property
    def bank_rows(self) -> int:
        """Number of rows in its memory bank; 0 if it has none."""
        return 0

    def check(self) -> None:
        """Check every file against the manifest.

        Raises:
            BundleError: One is missing or changed, or they do not belong together.
        """
        for name in self.manifest.files:
            self.file(name)

    @abstractmethod
    def in_precision(self, precision: Precision) -> "ProductBundle[Any]":
        """The bundle with its network in another precision.

        Raises:
            BundleError: It has none in that precision.
        """

    @abstractmethod
    def searched_by(self, index: str | None) -> "ProductBundle[Any]":
        """The bundle with another index for its memory bank; None keeps the bundle's own.

        Raises:
            OptionError: There is no such index.
        """


def not_exported(bundle: ProductBundle[Any]) -> BundleError:
    """The error for a bundle, of whatever method, whose network runs with PyTorch alone."""
    return BundleError(
        f"The bundle {bundle.directory} has not been exported.",
        f"Run: pcedge export --model {bundle.directory}",
    )
