"""Verify: the device itself proves that what it runs scores like the float32 reference."""

from dataclasses import dataclass

from pcedge.bundle import Bundle
from pcedge.certificate import Certificate, certify, valid_certificate, write_certificate
from pcedge.errors import BundleError, ExportError, RuntimeUnavailableError
from pcedge.golden import read_golden
from pcedge.parity import measure_frame_ms, measure_parity
from pcedge.runtimes import Candidate, RuntimeKind, candidates, open_inspector


@dataclass(frozen=True)
class Choice:
    """The runtime that was chosen, and why.

    Attributes:
        candidate: Runtime and device.
        certificate: Its proof.
        reason: Why this one, in words.
        unsaved: Why the certificate could not be kept, if it could not.
    """

    candidate: Candidate
    certificate: Certificate
    reason: str
    unsaved: BundleError | None = None


def verify(bundle: Bundle, candidate: Candidate) -> Certificate:
    """Run the golden frames on one runtime and compare every stage with the float32 reference.

    Nothing is written; ``parity.holds`` of the result says whether the runtime may be used.

    Raises:
        PcedgeError: The runtime cannot be opened, or a file of the bundle is missing or changed.
    """
    frames = read_golden(bundle)
    with open_inspector(bundle, runtime=candidate.runtime, device=candidate.device) as inspector:
        return certify(
            bundle,
            candidate.runtime,
            candidate.device,
            measure_parity(inspector, frames),
            measure_frame_ms(inspector, frames),
        )


def choose_runtime(bundle: Bundle, runtime: RuntimeKind = "auto", device: str = "auto") -> Choice:
    """Take the fastest runtime that is proved to score like the reference, proving what is not yet proved.

    Args:
        bundle: An exported bundle.
        runtime: ``auto`` for any that runs without PyTorch.
        device: ``auto`` for any.

    Raises:
        ExportError: None of them scores like the reference.
        PcedgeError: None of them can be opened, or a file of the bundle is missing or changed.
    """
    proved: list[Choice] = []
    failed: list[Certificate] = []
    unavailable: list[RuntimeUnavailableError] = []
    for candidate in candidates(bundle, runtime, device):
        try:
            choice = _prove(bundle, candidate)
        except RuntimeUnavailableError as error:
            unavailable.append(error)
            continue
        if choice.certificate.parity.holds:
            proved.append(choice)
        else:
            failed.append(choice.certificate)
    if not proved:
        raise _refusal(bundle, failed) if failed else unavailable[0]
    best = min(proved, key=lambda choice: choice.certificate.frame_ms)
    return Choice(best.candidate, best.certificate, _reason(best, proved, failed), best.unsaved)


def _prove(bundle: Bundle, candidate: Candidate) -> Choice:
    known = valid_certificate(bundle, candidate.runtime, candidate.device)
    if known is not None and known.parity.holds:
        return Choice(candidate, known, "")
    certificate = verify(bundle, candidate)
    try:
        write_certificate(bundle, certificate)
    except BundleError as error:
        return Choice(candidate, certificate, "", error)
    return Choice(candidate, certificate, "")


def _refusal(bundle: Bundle, failed: list[Certificate]) -> ExportError:
    worst = failed[0]
    return ExportError(
        f"{worst.parity.runtime} does not score like the float32 reference on this machine: "
        f"{worst.parity.failure()}.",
        f"Look at every stage with: pcedge verify --model {bundle.directory}, or try another --runtime.",
    )


def _reason(best: Choice, proved: list[Choice], failed: list[Certificate]) -> str:
    others = [
        f"{choice.certificate.parity.runtime} takes {choice.certificate.frame_ms:.1f} ms"
        for choice in proved
        if choice is not best
    ]
    others += [f"{certificate.parity.runtime} differs from the reference" for certificate in failed]
    took = f"verified, {best.certificate.frame_ms:.1f} ms a frame"
    return f"{took}; {'; '.join(others)}" if others else took
