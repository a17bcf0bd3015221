"""The parity certificate: what a device has proved of a bundle, a runtime and the libraries it has."""

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
SCHEME = 2  # raised when search, preprocessing or parity change what is proved


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """Parity as it was measured on one machine.

    Attributes:
        scheme: What was proved and how, see ``SCHEME``.
        created: When, in UTC.
        runtime: The kind of runtime, ``onnx``.
        device: Where it ran: ``cpu``, ``cuda``, ``cuda:1``, or ``tensorrt`` for ONNX Runtime's provider.
        precision: Of the network, ``fp32``.
        machine: What it ran on.
        power_mode: Of that machine, where it is known.
        versions: Of Python and the libraries, and on a GPU of its driver, CUDA and cuDNN.
        manifest_sha256: Of the bundle's manifest as it was used: thresholds, preprocessing, every file's
            digest.
        files: Digest of every file of the bundle.
        parity: What was measured.
        frame_ms: Median time from a golden frame to its verdict, in milliseconds; None where parity does not
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
        """The runtime, and its precision where that is not float32."""
        precision = "" if self.precision == "fp32" else f" in {self.precision}"
        return f"{self.parity.runtime}{precision}"


class _Certificates(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of ``certificate.json``: one entry a runtime and device."""

    certificates: tuple[Certificate, ...] = ()


def certify(bundle: Bundle, runtime: str, device: str, parity: Parity, frame_ms: float | None) -> Certificate:
    """State what was measured here and now."""
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
    """Add a certificate to the bundle's ``certificate.json``, in place of an earlier one of that runtime.

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
    """Write certificates where that can be done; return why it could not, which is no reason to stop."""
    try:
        for certificate in certificates:
            write_certificate(bundle, certificate)
    except BundleError as error:
        return error
    return None


def valid_certificate(bundle: Bundle, runtime: str, device: str) -> Certificate | None:
    """The certificate of a runtime that still speaks of this bundle, this machine and these libraries."""
    for certificate in _read(bundle.directory / CERTIFICATE_FILE):
        if (certificate.runtime, certificate.device) != (runtime, device):
            continue
        same = (
            certificate.scheme == SCHEME
            and certificate.parity.precision == bundle.manifest.precision
            and certificate.manifest_sha256 == _manifest_digest(bundle)
            and certificate.versions == library_versions(device)
            and certificate.machine == describe_machine(device)
            and certificate.power_mode == power_mode()  # else its time would be another
        )
        return certificate if same else None
    return None


def _read(path: Path) -> tuple[Certificate, ...]:
    """What is stored; one that cannot be read proves nothing, and is made anew."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Certificates).certificates
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ()


def _manifest_digest(bundle: Bundle) -> str:
    """Of the manifest that was read, not of the file: that may have been replaced since."""
    return sha256(bundle.manifest.to_json()).hexdigest()
