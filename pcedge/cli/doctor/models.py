"""The bundle that watch would use: whole, unchanged, proved on this machine."""

from pathlib import Path

from pcedge.bundles.bundle import Bundle
from pcedge.errors import PcedgeError
from pcedge.inspection.runtimes import candidates
from pcedge.inspection.verification.certificate import valid_certificate
from pcedge.methods import BaselineBundle, choose_baseline_runtime
from pcedge.methods.any_bundle import find_any_bundle

from .finding import CheckResult, fail, ok, warn


def check_bundle(model: str | None, models: Path) -> list[CheckResult]:
    """Check every file of a bundle, and its certificate.

    Args:
        model: As ``--model``; None for the current bundle.
        models: As ``--models``.
    """
    if model is None and not models.is_dir():
        return [ok("Bundle", f"none yet in {models}; make one with: pcedge fit DATASET")]
    try:
        bundle = find_any_bundle(model, models)
        for name in bundle.manifest.files:
            bundle.file(name)
        if isinstance(bundle, Bundle):
            bundle.open_bank()
    except PcedgeError as error:
        return [fail("Bundle", error.what, error.hint)]
    whole = f"{bundle.directory}: all {len(bundle.manifest.files)} files are what the manifest says"
    proof = _prove(bundle) if isinstance(bundle, BaselineBundle) else _check_certificate(bundle)
    return [ok("Bundle", whole), proof]


def _prove(bundle: BaselineBundle) -> CheckResult:
    """A baseline has no certificate: it is proved at every start, and here."""
    try:
        chosen = choose_baseline_runtime(bundle)
    except PcedgeError as error:
        return warn("Certificate", f"{bundle.manifest.method} cannot run here: {error.what}", error.hint)
    return ok("Certificate", f"{bundle.manifest.method} was proved just now: {chosen}")


def _check_certificate(bundle: Bundle) -> CheckResult:
    try:
        possible = candidates(bundle)
    except PcedgeError as error:
        return warn("Certificate", f"no runtime can run it: {error.what}", error.hint)
    proved = []
    for candidate in possible:
        certificate = valid_certificate(
            bundle.in_precision(candidate.precision), candidate.runtime, candidate.device
        )
        if certificate is not None and certificate.parity.holds:
            proved.append(f"{candidate} since {certificate.created}")
    if proved:
        return ok("Certificate", f"proved on this machine: {'; '.join(proved)}")
    advice = f"It is proved at the first start, or now: pcedge verify --model {bundle.directory}"
    return warn("Certificate", "no runtime has been proved on this machine", advice)
