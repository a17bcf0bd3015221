"""The face of every method: fitted, measured, exported and watched by callers that know no method by name."""

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
    """What the export of a network made.

    Attributes:
        bundle: With the network as ONNX.
        file: Its name in the bundle.
        difference: The largest of a score from the reference's on the golden frames, as a share of it.
    """

    bundle: OwnBundle
    file: str
    difference: float


@dataclass(frozen=True)
class ChosenRuntime:
    """The runtime that was chosen for a bundle, and why.

    Attributes:
        candidate: Runtime, device and precision.
        name: The same for people.
        proof: How it was proved and why it was taken; empty if it was not proved.
        skipped: Runtimes that were tried without success before one that is not proved, and why, in words.
        unsaved: Why the proof could not be kept, if it could not.
    """

    candidate: Candidate
    name: str
    proof: str = ""
    skipped: tuple[str, ...] = ()
    unsaved: BundleError | None = None


@dataclass(frozen=True)
class MethodFacts:
    """What decides a result beside images, preprocessing and thresholds, as a run states it.

    Attributes:
        seed: Of what is drawn at random.
        grid_hw: Grid of the scores of which the map is made.
        backbone: The pretrained network, if there is one.
        embedding: How patches are embedded; empty without a memory bank, as ``coreset``.
        dims: Values of an embedding.
        coreset: How many patches the bank keeps.
        bank_rows: Rows of the bank.
        neighbours: Rows by which the image score is weighted.
        options: The method's own settings, as they were used.
        notes: What a person should know of this fit.
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
    """A method. The module that holds it can be imported without PyTorch.

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
            options: What differs from the defaults.
            settings: The method's own, by name; text is read as the number or truth value that is meant.
            progress: Called with every stage.

        Raises:
            PcedgeError: With what was wrong and what to do; nothing was written or changed.
        """

    @abstractmethod
    def export(self, bundle: OwnBundle, progress: Progress = silent) -> Exported[OwnBundle]:
        """Write the network as ONNX into the bundle, and prove that it scores like the reference.

        Raises:
            ExportError: The network has operators or shapes that TensorRT does not accept, or scores
                otherwise; the bundle is as it was.
            MissingExtraError: What the export needs is not installed.
        """

    @abstractmethod
    def open_network(self, bundle: OwnBundle, runtime: RuntimeKind, device: str) -> Runtime:
        """Load the network; the files it is loaded from are checked first.

        Raises:
            BundleError: A file is missing or changed, or the bundle was not exported.
            PcedgeError: The runtime is not installed or cannot load the file.
        """

    @abstractmethod
    def detector(
        self, bundle: OwnBundle, runtime: Runtime, *, threshold: float | None, review: float | None
    ) -> AnyDetector:
        """What judges images on a runtime that holds the network.

        Args:
            bundle: The bundle.
            runtime: From ``open_network``.
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
        """Take the fastest runtime that is proved on this machine, or any that opens if proof is not wanted.

        Raises:
            ExportError: None scores like the reference.
            PcedgeError: None can be opened, or a file of the bundle is missing or changed.
        """

    @abstractmethod
    def proofs(self, bundle: OwnBundle) -> tuple[str, ...]:
        """Which runtimes are proved on this machine and since when, in words; none if none is yet.

        Raises:
            PcedgeError: No runtime can run it.
        """

    @abstractmethod
    def facts(self, bundle: OwnBundle) -> MethodFacts:
        """What decides its results."""

    def network_digest(self, bundle: OwnBundle, runtime: RuntimeKind) -> str:
        """Digest of what ``open_network`` loads: bundles in which it is the same may share a runtime.

        A network may hold what was learned of one product, in files beside it: all of them count, where the
        method does not say otherwise.
        """
        files = sorted((name, info.sha256) for name, info in bundle.manifest.files.items())
        return sha256(repr(files).encode()).hexdigest()

    def row_usage(self, bundle: OwnBundle) -> RowUsage | None:
        """What counts how the rows of the bank are used; None where there is no bank."""
        return None


# Of whatever kind its bundles are, for those who only hand them back to it.
AnyMethod = Method[Any]
