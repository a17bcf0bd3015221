"""Check of the bundle that watch would use: files, certificates."""

from pathlib import Path

from pcedge.errors import PcedgeError
from pcedge.methods import AnyBundle, find_any_bundle, method_for

from .finding import CheckResult, fail, ok, warn


def check_bundle(model: str | None, models: Path) -> list[CheckResult]:
    """Check every file of a bundle, and its certificate.

    Args:
        model: The bundle, as ``--model``; None for the current one.
        models: Directory of bundles, as ``--models``.
    """
    if model is None and not models.is_dir():
        return [ok("Bundle", f"none yet in {models}; make one with: pcedge fit DATASET")]
    try:
        bundle = find_any_bundle(model, models)
        bundle.check()
    except PcedgeError as error:
        return [fail("Bundle", error.what, error.hint)]
    whole = f"{bundle.directory}: all {len(bundle.manifest.files)} files are what the manifest says"
    return [ok("Bundle", whole), _check_proof(bundle)]


def _check_proof(bundle: AnyBundle) -> CheckResult:
    try:
        proved = method_for(bundle).proofs(bundle)
    except PcedgeError as error:
        return warn("Certificate", f"no runtime can run it: {error.what}", error.hint)
    if proved:
        return ok("Certificate", f"proved on this machine: {'; '.join(proved)}")
    advice = f"It is proved at the first start, or now: pcedge verify --model {bundle.directory}"
    return warn("Certificate", "no runtime has been proved on this machine", advice)
