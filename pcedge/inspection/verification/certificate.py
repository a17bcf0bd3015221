"""The parity certificate of a bundle: create, write, read and check it."""

from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path

import msgspec

from pcedge.bundles.bundle import Bundle
from pcedge.core.files import replace_file
from pcedge.core.machine import Machine, describe_machine, library_versions, power_mode
from pcedge.errors import BundleError

from .parity import Parity

CERTIFICATE_FILE = "certificate.json"
SCHEME = 2  # increase it when search, preprocessing or parity change what is proved


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """Parity measured on one machine.

    Attributes:
        scheme: Version of the verification procedure, see ``SCHEME``.
        created: When, in UTC.
        runtime: The kind of runtime, ``onnx``.
        device: Where it ran: ``cpu``, ``cuda``, ``cuda:1``, or ``tensorrt`` for ONNX Runtime's provider.
        precision: Precision of the network, ``fp32``.
        machine: The machine it ran on.
        power_mode: Power mode of that machine, if known.
        versions: Versions of Python and the libraries; on a GPU also of its driver, CUDA and cuDNN.
        manifest_sha256: Digest of the bundle's manifest: thresholds, preprocessing, every file's digest.
        files: Digest of every file of the bundle.
        parity: The measured parity.
        frame_ms: Median time from a golden frame to its verdict, in milliseconds; None if parity does not
            hold.
    """

    scheme: int
    created: str
    runtime: str
    device: str
    precision: str
    machine: Machine
    power_mode: str | None
    versions: dict[str, str]
    manifest_sha256: str
    files: dict[str, str]
    parity: Parity
    frame_ms: float | None

    @property
    def called(self) -> str:
        """Name of the runtime, with its precision unless that is float32."""
        precision = "" if self.precision == "fp32" else f" in {self.precision}"
        return f"{self.parity.runtime}{precision}"


class _Certificates(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of ``certificate.json``: one entry per runtime and device."""

    certificates: tuple[Certificate, ...] = ()


def certify(bundle: Bundle, runtime: str, device: str, parity: Parity, frame_ms: float | None) -> Certificate:
    """Create a certificate of what was measured now on this machine."""
    return Certificate(
        scheme=SCHEME,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        runtime=runtime,
        device=device,
        precision=bundle.manifest.precision,
        machine=describe_machine(device),
        power_mode=power_mode(),
        versions=library_versions(device),
        manifest_sha256=_manifest_digest(bundle),
        files={name: info.sha256 for name, info in bundle.manifest.files.items()},
        parity=parity,
        frame_ms=frame_ms,
    )


def write_certificate(bundle: Bundle, certificate: Certificate) -> Path:
    """Add a certificate to the bundle's ``certificate.json``, replacing an earlier one of that runtime.

    Raises:
        BundleError: The bundle cannot be written to.
    """
    path = bundle.directory / CERTIFICATE_FILE
    others = [
        one for one in _read(path) if (one.runtime, one.device) != (certificate.runtime, certificate.device)
    ]
    content = msgspec.json.encode(_Certificates(certificates=(*others, certificate)))
    try:
        replace_file(path, msgspec.json.format(content, indent=2) + b"\n")
    except OSError as error:
        raise BundleError(
            f"{path} cannot be written: {error.strerror or error}.",
            "Parity is then measured again at every start; let this user write to the bundle to keep it.",
        ) from error
    return path


def keep_certificates(bundle: Bundle, *certificates: Certificate) -> BundleError | None:
    """Write certificates; return the reason if that failed, which is not an error."""
    try:
        for certificate in certificates:
            write_certificate(bundle, certificate)
    except BundleError as error:
        return error
    return None


def valid_certificate(bundle: Bundle, runtime: str, device: str) -> Certificate | None:
    """The certificate of a runtime that is still valid for this bundle, machine and libraries."""
    for certificate in _read(bundle.directory / CERTIFICATE_FILE):
        if (certificate.runtime, certificate.device) != (runtime, device):
            continue
        same = (
            certificate.scheme == SCHEME
            and certificate.parity.precision == bundle.manifest.precision
            and certificate.manifest_sha256 == _manifest_digest(bundle)
            and certificate.versions == library_versions(device)
            and certificate.machine == describe_machine(device)
            and certificate.power_mode == power_mode()  # otherwise its time would differ
        )
        return certificate if same else None
    return None


def _read(path: Path) -> tuple[Certificate, ...]:
    """The stored certificates; an unreadable file counts as none and is replaced."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Certificates).certificates
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ()


def _manifest_digest(bundle: Bundle) -> str:
    """Digest of the manifest that was read, not of the file, which may have been replaced since."""
    return sha256(bundle.manifest.to_json()).hexdigest()
