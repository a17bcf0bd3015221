"""PatchCore as a method."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from pcedge.bundles.bundle import BACKBONE_FILE, EMBEDDER_FILE, Bundle
from pcedge.bundles.drift_reference import rare_rows_of
from pcedge.bundles.manifest import PATCHCORE
from pcedge.bundles.row_usage import RowUsage, usage_of
from pcedge.core.progress import Progress, silent
from pcedge.errors import BundleError, OptionError
from pcedge.export import Runtime
from pcedge.fitting.fit import fit
from pcedge.fitting.options import FitOptions
from pcedge.fitting.result import FitResult
from pcedge.inspection.patchcore_detector import Inspector
from pcedge.inspection.precision import PrecisionChoice
from pcedge.inspection.region_explanation import open_pictures
from pcedge.inspection.runtimes import RuntimeKind, candidates, open_runtime
from pcedge.inspection.verification.certificate import valid_certificate
from pcedge.inspection.verification.verify import choose_runtime, first_that_opens
from pcedge.methods.base import ChosenRuntime, Exported, Method, MethodFacts

from .exporting import export_embedder


class NoSettings(msgspec.Struct, frozen=True):
    """PatchCore has no settings of its own: its options are in ``FitOptions``."""


class PatchCore(Method[Bundle]):
    """PatchCore; see :class:`pcedge.methods.Method`."""

    name = PATCHCORE
    title = "PatchCore (Roth et al., 2022)"
    settings = NoSettings
    has_bank = True

    def open_bundle(self, directory: Path) -> Bundle:
        """Read a bundle's manifest."""
        return Bundle.open(directory)

    def fit(
        self,
        dataset_path: Path,
        options: FitOptions,
        settings: Mapping[str, Any],
        progress: Progress = silent,
    ) -> FitResult[Bundle]:
        """Fit; ``settings`` must be empty."""
        for name, value in settings.items():
            raise OptionError(
                f"--set {name}={value} belongs to other methods than PatchCore.",
                "Name one with --method.",
            )
        return fit(dataset_path, options, progress)

    def export(self, bundle: Bundle, progress: Progress = silent) -> Exported[Bundle]:
        """Write the embedder as ONNX; other formats are exported by ``pcedge.export_bundle``."""
        exported, proof = export_embedder(bundle, progress)
        return Exported(exported, EMBEDDER_FILE, proof.parity.stage("score").largest or 0.0)

    def open_network(self, bundle: Bundle, runtime: RuntimeKind, device: str) -> Runtime:
        """Load the embedder; on a GPU also the search."""
        return open_runtime(bundle, runtime, device)

    def detector(
        self,
        bundle: Bundle,
        runtime: Runtime,
        *,
        threshold: float | None = None,
        review: float | None = None,
    ) -> Inspector:
        """The inspector: embedder and bank."""
        return Inspector.of(
            bundle.manifest,
            runtime,
            bundle.open_bank(),
            threshold=threshold,
            review=review,
            pictures=open_pictures(bundle),
        )

    def choose_runtime(
        self,
        bundle: Bundle,
        runtime: RuntimeKind = "auto",
        device: str = "auto",
        precision: PrecisionChoice = "auto",
        *,
        verified: bool = True,
    ) -> ChosenRuntime:
        """Choose the fastest proved runtime of all that open; certificates are written."""
        if not verified:
            candidate, skipped = first_that_opens(bundle, runtime, device, precision)
            return ChosenRuntime(candidate, str(candidate), skipped=tuple(map(str, skipped)))
        found = choose_runtime(bundle, runtime, device, precision)
        return ChosenRuntime(found.candidate, found.certificate.called, found.reason, unsaved=found.unsaved)

    def proofs(self, bundle: Bundle) -> tuple[str, ...]:
        """The valid certificates of this machine."""
        proved = []
        for candidate in candidates(bundle):
            variant = bundle.in_precision(candidate.precision)
            certificate = valid_certificate(variant, candidate.runtime, candidate.device)
            if certificate is not None and certificate.parity.holds:
                proved.append(f"{candidate} since {certificate.created}")
        return tuple(proved)

    def facts(self, bundle: Bundle) -> MethodFacts:
        """Facts of network, embedding and bank."""
        manifest = bundle.manifest
        return MethodFacts(
            manifest.bank.seed,
            manifest.embedding.grid_hw,
            manifest.backbone,
            embedding=manifest.embedding.kind,
            dims=manifest.embedding.dims,
            coreset=manifest.bank.coreset,
            bank_rows=manifest.bank.rows,
            neighbours=manifest.score.neighbours,
        )

    def network_digest(self, bundle: Bundle, runtime: RuntimeKind) -> str:
        """Digest of the embedder only, which several products may share."""
        name = BACKBONE_FILE if runtime == "torch" else EMBEDDER_FILE
        if not bundle.has(name):
            raise BundleError(f"The bundle {bundle.directory} has no {name}.", "Fit or export it again.")
        return bundle.manifest.files[name].sha256

    def row_usage(self, bundle: Bundle) -> RowUsage:
        """The row usage counter of this bank."""
        return usage_of(bundle, rare_rows_of(bundle))


METHOD = PatchCore()
