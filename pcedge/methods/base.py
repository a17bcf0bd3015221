"""The interface of all methods: fit, open, detect, export, choose a runtime."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from pcedge.bundles.manifest import BackboneInfo, ProductManifest
from pcedge.bundles.product_bundle import ProductBundle
from pcedge.bundles.row_usage import RowUsage
from pcedge.core.progress import Progress, silent
from pcedge.errors import BundleError
from pcedge.export import Runtime
from pcedge.fitting.options import FitOptions
from pcedge.fitting.result import FitResult
from pcedge.inspection.detector import AnyDetector
from pcedge.inspection.precision import PrecisionChoice
from pcedge.inspection.runtimes import Candidate, RuntimeKind

AnyBundle = ProductBundle[ProductManifest]
OwnBundle = TypeVar("OwnBundle", bound=ProductBundle[Any])


@dataclass(frozen=True)
class Exported(Generic[OwnBundle]):
    """The result of exporting a network.

    Attributes:
        bundle: The bundle, with the network as ONNX.
        file: Name of the ONNX file in the bundle.
        difference: Largest relative difference of a score from the reference's on the golden frames.
    """

    bundle: OwnBundle
    file: str
    difference: float


@dataclass(frozen=True)
class ChosenRuntime:
    """The runtime chosen for a bundle, and why.

    Attributes:
        candidate: Runtime, device and precision.
        name: The candidate as text.
        proof: How it was verified and why it was chosen; empty if it was not verified.
        skipped: Runtimes that failed to open before an unverified one was chosen, and why, as text.
        unsaved: Why the certificate could not be written; None if there is nothing to report.
    """

    candidate: Candidate
    name: str
    proof: str = ""
    skipped: tuple[str, ...] = ()
    unsaved: BundleError | None = None


@dataclass(frozen=True)
class MethodFacts:
    """What determines a result besides images, preprocessing and thresholds, as recorded in a run.

    Attributes:
        seed: Random seed.
        grid_hw: Grid of the scores behind the map.
        backbone: The pretrained network, if any.
        embedding: How patches are embedded; empty without a memory bank, like ``coreset``.
        dims: Number of values of an embedding.
        coreset: How many patches the bank keeps.
        bank_rows: Number of rows in the bank.
        neighbours: Number of bank rows that re-weight the image score.
        options: The method's own settings, as they were used.
        notes: Remarks on this fit.
    """

    seed: int
    grid_hw: tuple[int, int]
    backbone: BackboneInfo | None = None
    embedding: str = ""
    dims: int = 0
    coreset: str = ""
    bank_rows: int = 0
    neighbours: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Method(ABC, Generic[OwnBundle]):
    """A method. Its module can be imported without PyTorch.

    Attributes:
        name: As ``--method`` and the manifest name it.
        title: Name and source, for people.
        settings: What can be set with ``--set``: a struct whose fields all have defaults.
        has_bank: Whether it keeps a memory bank. Coreset, embedding and neighbours, a preset's layers, and
            what export makes beside the ONNX file, belong to such methods.
        has_backbone: Whether it uses a pretrained network, which ``--backbone`` names.
    """

    name: str
    title: str
    settings: type[msgspec.Struct]
    has_bank: bool = False
    has_backbone: bool = True

    @abstractmethod
    def open_bundle(self, directory: Path) -> OwnBundle:
        """Read the manifest of a bundle of this method; its files are checked as they are used.

        Raises:
            BundleError: It cannot be read.
        """

    @abstractmethod
    def fit(
        self,
        dataset_path: Path,
        options: FitOptions,
        settings: Mapping[str, Any],
        progress: Progress = silent,
    ) -> FitResult[OwnBundle]:
        """Fit on the good images of a dataset and write the bundle, which becomes current.

        Args:
            dataset_path: Folder of one product, in one of the layouts of ``pcedge.datasets``.
            options: Options of the fit.
            settings: The method's own options by name; text is parsed to the option's type.
            progress: Progress callback.

        Raises:
            PcedgeError: The fit failed; the message says why and what to do. Nothing was written or changed.
        """

    @abstractmethod
    def export(self, bundle: OwnBundle, progress: Progress = silent) -> Exported[OwnBundle]:
        """Write the network as ONNX into the bundle, and verify that it scores like the reference.

        Raises:
            ExportError: The network has operators or shapes that TensorRT does not accept, or its scores
                differ; the bundle is unchanged.
            MissingExtraError: A package that the export needs is not installed.
        """

    @abstractmethod
    def open_network(self, bundle: OwnBundle, runtime: RuntimeKind, device: str) -> Runtime:
        """Load the network, after checking its files.

        Raises:
            BundleError: A file is missing or changed, or the bundle was not exported.
            PcedgeError: The runtime is not installed or cannot load the file.
        """

    @abstractmethod
    def detector(
        self, bundle: OwnBundle, runtime: Runtime, *, threshold: float | None, review: float | None
    ) -> AnyDetector:
        """The detector on a runtime with the network.

        Args:
            bundle: The bundle.
            runtime: The runtime, from ``open_network``.
            threshold: Used instead of the bundle's own.
            review: Scores above it are REVIEW; None for no REVIEW.
        """

    @abstractmethod
    def choose_runtime(
        self,
        bundle: OwnBundle,
        runtime: RuntimeKind = "auto",
        device: str = "auto",
        precision: PrecisionChoice = "auto",
        *,
        verified: bool = True,
    ) -> ChosenRuntime:
        """Choose the fastest runtime that is proved on this machine, or the first that opens if unverified.

        Raises:
            ExportError: None scores like the reference.
            PcedgeError: None can be opened, or a file of the bundle is missing or changed.
        """

    @abstractmethod
    def proofs(self, bundle: OwnBundle) -> tuple[str, ...]:
        """The runtimes proved on this machine and since when, as text; empty if there are none.

        Raises:
            PcedgeError: No runtime can run it.
        """

    @abstractmethod
    def facts(self, bundle: OwnBundle) -> MethodFacts:
        """The facts that determine a bundle's results."""

    def network_digest(self, bundle: OwnBundle, runtime: RuntimeKind) -> str:
        """Digest of what ``open_network`` loads: bundles in which it is the same may share a runtime.

        A network may contain what was learned of one product, in files beside it: by default all files count.
        """
        files = sorted((name, info.sha256) for name, info in bundle.manifest.files.items())
        return sha256(repr(files).encode()).hexdigest()

    def row_usage(self, bundle: OwnBundle) -> RowUsage | None:
        """The row usage counter of the bank; None without a bank."""
        return None


# A method with any type of bundle, for callers that only pass bundles back to it.
AnyMethod = Method[Any]
