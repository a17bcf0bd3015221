"""Certificates of network cameras: which are trusted, and a check of the one that a camera shows."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from pcedge.errors import CameraError

_PORTS = {"https": 443, "rtsps": 322}


@dataclass(frozen=True)
class Trust:
    """Whose certificates are accepted.

    Attributes:
        ca_file: File with the certificates (PEM) of the authorities that are trusted; empty for those of the
            system.
        insecure: Accept every certificate: whoever answers is taken for the camera, and gets its password.
    """

    ca_file: str = ""
    insecure: bool = False

    def ffmpeg_options(self) -> dict[str, str]:
        """Options for FFmpeg, which checks the connection that it uses."""
        if self.insecure:
            return {"tls_verify": "0"}
        paths = ssl.get_default_verify_paths()
        ca_file = self.ca_file or paths.cafile
        return {"tls_verify": "1"} | ({"ca_file": ca_file} if ca_file else {})


SYSTEM_TRUST = Trust()


def check_certificate(uri: str, trust: Trust, timeout_s: float) -> None:
    """Check the certificate of a camera whose address is ``https://`` or ``rtsps://``, with its host's name.

    FFmpeg checks again when it connects, but not every build of it compares the name, nor says what is wrong.

    Raises:
        CameraError: The certificate is not trusted, or the file of ``trust`` cannot be used. What else is
            wrong with the camera is for FFmpeg to say.
    """
    parts = urlsplit(uri)
    port = _PORTS.get(parts.scheme.lower())
    if trust.insecure or port is None or not parts.hostname:
        return
    context = _context(trust)
    try:
        with (
            socket.create_connection((parts.hostname, parts.port or port), timeout_s) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname),
        ):
            pass
    except ssl.SSLCertVerificationError as error:
        raise _untrusted(error.verify_message, trust) from error
    except (OSError, ValueError):
        return


def _context(trust: Trust) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=trust.ca_file or None)
    except OSError as error:  # ssl.SSLError is one too
        raise CameraError(
            f"the file of certificates {trust.ca_file} cannot be used: {error.strerror or error}",
            "ca_file names a file with certificates in PEM form (-----BEGIN CERTIFICATE-----).",
        ) from error


def _untrusted(why: str, trust: Trust) -> CameraError:
    return CameraError(
        f"its certificate is not trusted: {why.rstrip('.')}",
        f"{'ca_file must name' if trust.ca_file else 'Name'} the certificate of whoever signed it"
        f"{'' if trust.ca_file else ' with ca_file (--ca-file)'}. insecure = true (--insecure) accepts any "
        "certificate: whoever answers in the camera's place gets its password and decides what is judged.",
    )
