"""The parity certificate of a bundle: create, write, read and check it.

Certificates lie in the state directory of the machine that measured, sealed with its key, and never in the
bundle: one that came with a copied bundle could claim anything.
"""

from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path

import msgspec

from pcedge.bundles.bundle import Bundle
from pcedge.core.defaults import make_state_folder, state_directory
from pcedge.core.files import replace_file
from pcedge.core.machine import Machine, describe_machine, library_versions, power_mode
from pcedge.core.machine_key import is_sealed, seal
from pcedge.errors import BundleError

from .parity import Parity

_FOLDER = "certificates"
_LARGEST_BYTES = 1_000_000
_MOST_FILES = 500  # a bundle that is taught every day for more than a year
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


class _Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of a file: an entry for each runtime and device, and this machine's code of them."""

    code: str
    certificates: msgspec.Raw


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


def certificate_path(bundle: Bundle) -> Path:
    """The file of this machine with the certificates of this bundle: of its content, wherever it lies."""
    return state_directory() / _FOLDER / f"{_manifest_digest(bundle)}.json"


def write_certificate(bundle: Bundle, certificate: Certificate) -> Path:
    """Keep a certificate on this machine, in the place of an earlier one of that runtime and device.

    Raises:
        BundleError: This machine's state directory cannot be written to.
    """
    path = certificate_path(bundle)
    others = [
        one for one in _read(path) if (one.runtime, one.device) != (certificate.runtime, certificate.device)
    ]
    content = msgspec.json.format(msgspec.json.encode((*others, certificate)), indent=2)
    try:
        sealed = _Sealed(code=seal(content), certificates=msgspec.Raw(content))
        make_state_folder(_FOLDER)
        replace_file(path, msgspec.json.encode(sealed) + b"\n")
    except OSError as error:
        raise BundleError(
            f"The certificate {path} cannot be written: {error.strerror or error}.",
            "Parity is then measured again at every start. To keep it, let the environment variable "
            "PCEDGE_STATE name a directory that this user can write to.",
        ) from error
    _remove_oldest(path.parent)
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
    for certificate in _read(certificate_path(bundle)):
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
    """The stored certificates; a file that this machine did not write so counts as none and is replaced."""
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            return ()
        stored = msgspec.json.decode(path.read_bytes(), type=_Sealed)
        if not is_sealed(bytes(stored.certificates), stored.code):
            return ()
        return msgspec.json.decode(stored.certificates, type=tuple[Certificate, ...])
    except (OSError, msgspec.MsgspecError, UnicodeError, RecursionError):
        return ()


def _remove_oldest(folder: Path) -> None:
    """Keep the newest files: each change of a bundle begins another."""
    try:
        files = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        for path in files[:-_MOST_FILES]:
            path.unlink(missing_ok=True)
    except OSError:
        return  # another process removes them at this moment


def _manifest_digest(bundle: Bundle) -> str:
    """Digest of the manifest that was read, not of the file, which may have been replaced since."""
    return sha256(bundle.manifest.to_json()).hexdigest()
