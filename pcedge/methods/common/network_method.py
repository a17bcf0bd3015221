"""The base class of methods made of a network and a scorer."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcedge.core.extras import require_torch
from pcedge.core.progress import Progress, silent
from pcedge.export import Runtime, TorchRuntime
from pcedge.fitting.options import FitOptions
from pcedge.fitting.result import FitResult
from pcedge.inspection.precision import PrecisionChoice, one_precision
from pcedge.inspection.runtimes import RuntimeKind
from pcedge.methods.base import ChosenRuntime, Exported, Method, MethodFacts

from .bundle import BaselineBundle
from .exporting import export_network
from .fitter import Fitter, Scorer
from .fitting import fit_network
from .inspector import BaselineInspector
from .opening import choose_network_runtime, inspect_with, open_network_of

if TYPE_CHECKING:
    from torch import nn


class NetworkMethod(Method[BaselineBundle]):
    """A method made of a network and a scorer; a subclass adds its fitter, network and scorer."""

    @abstractmethod
    def prepare(self, options: FitOptions, settings: Any, progress: Progress) -> Fitter:
        """Load the network and make a fitter.

        Raises:
            PcedgeError: There are no weights, or the layers or settings cannot be used.
        """

    @abstractmethod
    def module(self, bundle: BaselineBundle) -> "nn.Module":
        """The network of a bundle in PyTorch: images [n, 3, s, s] to outputs [n, ...]."""

    @abstractmethod
    def write_onnx(self, bundle: BaselineBundle, path: Path) -> None:
        """Write that network as ONNX, into a directory with the bundle's files.

        Its input is called ``images`` [batch, 3, s, s], its output ``embeddings`` [batch, ...].
        """

    @abstractmethod
    def scorer(self, bundle: BaselineBundle) -> Scorer:
        """The scorer of a bundle."""

    def reference(self, bundle: BaselineBundle, device: str) -> Runtime:
        """The network in PyTorch, the reference for all other runtimes."""
        require_torch("The torch runtime")
        return TorchRuntime(self.module(bundle), device)

    def open_bundle(self, directory: Path) -> BaselineBundle:
        """Read a bundle's manifest."""
        return BaselineBundle.open(directory)

    def fit(
        self,
        dataset_path: Path,
        options: FitOptions,
        settings: Mapping[str, Any],
        progress: Progress = silent,
    ) -> FitResult[BaselineBundle]:
        """Fit, and write the reference's golden frames."""
        return fit_network(self, dataset_path, options, settings, progress)

    def export(self, bundle: BaselineBundle, progress: Progress = silent) -> Exported[BaselineBundle]:
        """Write the network as ONNX, verified on the golden frames."""
        return export_network(self, bundle, progress)

    def open_network(self, bundle: BaselineBundle, runtime: RuntimeKind, device: str) -> Runtime:
        """Load the network: ``auto`` is the ONNX file, ``torch`` the reference."""
        return open_network_of(self, bundle, runtime, device)

    def detector(
        self,
        bundle: BaselineBundle,
        runtime: Runtime,
        *,
        threshold: float | None = None,
        review: float | None = None,
    ) -> BaselineInspector:
        """The detector: the runtime's outputs and the scorer."""
        return inspect_with(self, bundle, runtime, threshold=threshold, review=review)

    def choose_runtime(
        self,
        bundle: BaselineBundle,
        runtime: RuntimeKind = "auto",
        device: str = "auto",
        precision: PrecisionChoice = "auto",
        *,
        verified: bool = True,
    ) -> ChosenRuntime:
        """Verify the runtime on the golden frames at every start; no certificate is written."""
        if precision not in ("auto", "all"):
            bundle.in_precision(one_precision(precision))
        candidate = choose_network_runtime(self, bundle, runtime, device, verified=verified)
        return ChosenRuntime(candidate, str(candidate), "verified on the golden frames" if verified else "")

    def proofs(self, bundle: BaselineBundle) -> tuple[str, ...]:
        """Verify now, which takes no longer than opening the bundle."""
        return (f"{self.choose_runtime(bundle).candidate}, just now",)

    def facts(self, bundle: BaselineBundle) -> MethodFacts:
        """The settings as used."""
        manifest = bundle.manifest
        return MethodFacts(
            manifest.seed,
            manifest.grid_hw,
            manifest.backbone,
            options=manifest.settings,
            notes=manifest.notes,
        )
