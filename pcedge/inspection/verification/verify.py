"""Verification on the device: compare a runtime with the float32 reference, choose a proved one."""

from dataclasses import dataclass
from math import inf

from pcedge.bundles.bundle import Bundle
from pcedge.errors import BundleError, ExportError, MissingExtraError, PcedgeError, RuntimeUnavailableError
from pcedge.inspection.precision import PrecisionChoice
from pcedge.inspection.runtimes import (
    Candidate,
    RuntimeKind,
    candidates,
    open_inspector,
    open_runtime,
    runtime_file,
)

from .certificate import Certificate, certify, keep_certificates, valid_certificate
from .golden import read_golden
from .parity import measure_frame_ms, measure_parity, show_ms

# Errors that rule out one runtime, but not the others: not installed, no such device, a file that cannot be
# loaded or was changed. (Errors of the whole bundle rule out all.)
UNUSABLE = (RuntimeUnavailableError, MissingExtraError, ExportError, BundleError)


@dataclass(frozen=True)
class Skipped:
    """A runtime that cannot be used here, and why."""

    candidate: Candidate
    error: PcedgeError

    def __str__(self) -> str:
        what = self.error.what.rstrip(".")
        return f"{self.candidate} cannot be used: {what}"


@dataclass(frozen=True)
class Choice:
    """The chosen runtime, and why.

    Attributes:
        candidate: Runtime, device and precision.
        certificate: Its certificate.
        reason: Why it was chosen, as text.
        unsaved: Why the certificate could not be written; None if it was.
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
    bundle = bundle.in_precision(candidate.precision)
    frames = read_golden(bundle)
    with open_inspector(
        bundle, runtime=candidate.runtime, device=candidate.device, precision=candidate.precision
    ) as inspector:
        parity = measure_parity(inspector, frames, candidate.precision)
        frame_ms = measure_frame_ms(inspector, frames) if parity.holds else None
    return certify(bundle, candidate.runtime, candidate.device, parity, frame_ms)


def choose_runtime(
    bundle: Bundle,
    runtime: RuntimeKind = "auto",
    device: str = "auto",
    precision: PrecisionChoice = "auto",
) -> Choice:
    """Choose the fastest runtime that scores like the reference, after verifying what has no certificate.

    Args:
        bundle: An exported bundle.
        runtime: ``auto`` for any runtime without PyTorch.
        device: ``auto`` for any device.
        precision: ``auto`` for float32 and those that were measured to be as good.

    Raises:
        ExportError: None of them scores like the reference.
        PcedgeError: None of them can be opened, or a file of the bundle is missing or changed.
    """
    proved: list[Choice] = []
    failed: list[Certificate] = []
    skipped: list[Skipped] = []
    for candidate in candidates(bundle, runtime, device, precision):
        try:
            choice = _prove(bundle, candidate)
        except UNUSABLE as error:
            skipped.append(Skipped(candidate, error))
            continue
        if choice.certificate.parity.holds:
            proved.append(choice)
        else:
            failed.append(choice.certificate)
    if not proved:
        raise _refusal(bundle, failed, skipped) if failed else skipped[0].error
    best = min(proved, key=lambda choice: choice.certificate.frame_ms or inf)
    return Choice(best.candidate, best.certificate, _reason(best, proved, failed, skipped), best.unsaved)


def first_that_opens(
    bundle: Bundle,
    runtime: RuntimeKind = "auto",
    device: str = "auto",
    precision: PrecisionChoice = "auto",
) -> tuple[Candidate, list[Skipped]]:
    """Choose the first runtime that opens, without verification, and list those that did not.

    Raises:
        PcedgeError: None of them can be opened.
    """
    skipped: list[Skipped] = []
    for candidate in candidates(bundle, runtime, device, precision):
        try:
            with open_runtime(bundle.in_precision(candidate.precision), candidate.runtime, candidate.device):
                return candidate, skipped
        except UNUSABLE as error:
            skipped.append(Skipped(candidate, error))
    raise skipped[0].error


def _prove(bundle: Bundle, candidate: Candidate) -> Choice:
    variant = bundle.in_precision(candidate.precision)
    known = valid_certificate(variant, candidate.runtime, candidate.device)
    if known is not None and known.parity.holds:
        runtime_file(variant, candidate.runtime)  # checked: the file may have changed since
        return Choice(candidate, known, "")
    certificate = verify(bundle, candidate)
    return Choice(candidate, certificate, "", keep_certificates(variant, certificate))


def _refusal(bundle: Bundle, failed: list[Certificate], skipped: list[Skipped]) -> ExportError:
    worst = failed[0]
    others = "".join(f" {one}." for one in skipped)
    return ExportError(
        f"{worst.parity.runtime} does not score like the float32 reference on this machine: "
        f"{worst.parity.failure()}.{others}",
        f"Look at every stage with: pcedge verify --model {bundle.directory}, or try another --runtime.",
    )


def _reason(best: Choice, proved: list[Choice], failed: list[Certificate], skipped: list[Skipped]) -> str:
    others = [
        f"{choice.certificate.called} takes {show_ms(choice.certificate.frame_ms)}"
        for choice in proved
        if choice is not best
    ]
    others += [f"{certificate.called} differs from the reference" for certificate in failed]
    others += [str(one) for one in skipped]
    took = f"verified, {show_ms(best.certificate.frame_ms)} a frame"
    return f"{took}; {'; '.join(others)}" if others else took
