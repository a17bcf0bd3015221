"""Network cameras over RTSP or HTTP: streams, and addresses of single images that are asked for again."""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Mapping
from functools import partial
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import (
    HTTPBasicAuthHandler,
    HTTPDigestAuthHandler,
    HTTPPasswordMgrWithDefaultRealm,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    Request,
    build_opener,
)

from pcedge.errors import CameraError, OptionError

from ...util.addresses import redact
from ..capture import CameraSource
from ..drivers import Capture
from ..kind import SourceKind, SourceOptions, scheme_of
from .container import Container
from .reasons import REFUSED, STATUS, no_answer
from .snapshots import Snapshots

_TLS_PORTS = {"rtsps": 322, "https": 443}
_PORTS = {"rtsp": 554, "http": 80, **_TLS_PORTS}
# What a camera may lead to, by a redirection or a playlist: no files, and nothing unencrypted from TLS.
_ENCRYPTED = "https,tls,tcp,crypto,httpproxy"
_PROTOCOLS = {
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsp,rtp,tls,tcp",
    "http": f"http,{_ENCRYPTED}",
    "https": _ENCRYPTED,
}
_HINT = "Check the address, the login, and that the camera answers on the network."
_ENCODE = (
    "In a login, write '#' as %23, '/' as %2F, '?' as %3F, '@' as %40 and ':' as %3A "
    "(rtsp://user:p%23ss@camera/path)."
)
# Where systems keep the certificates that they trust; FFmpeg has to be told.
_SYSTEM_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)


class NetworkCamera:
    """Opens a network camera, and says why if it cannot.

    Args:
        uri: ``rtsp://``, ``rtsps://``, ``http://`` or ``https://``; a login in it is percent-encoded.
        asked: Options; ``ca_file`` and ``insecure`` say whose certificates are accepted.

    Raises:
        OptionError: ``ca_file`` cannot be read, or belongs to an address without TLS.
    """

    def __init__(self, uri: str, asked: SourceOptions) -> None:
        self._uri = uri
        self._asked = asked
        self._scheme = scheme_of(uri)
        self._context = _context_of(self._scheme in _TLS_PORTS, asked)

    def __call__(self) -> Capture:
        """Open it.

        Raises:
            CameraError: It cannot be opened; the message is the reason.
        """
        host, port = self._host_and_port()
        began_s = time.monotonic()
        try:
            container = Container(self._uri, self._ffmpeg_options(), self._asked.open_s)
        except CameraError as error:
            if time.monotonic() - began_s >= self._asked.open_s:
                raise
            raise self._explained(host, port, error) from None
        if not container.is_single_image:
            return container
        container.release()
        return Snapshots(partial(self._fetch, self._opener()), self._rate())

    def _rate(self) -> float | None:
        return self._asked.settings.fps if self._asked.settings else None

    def _host_and_port(self) -> tuple[str, int]:
        try:
            parts = urlsplit(self._uri)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not host or "@" in self._uri.partition("#")[2]:
            raise CameraError("the address cannot be understood", _ENCODE)
        return host, port or _PORTS[self._scheme]

    def _explained(self, host: str, port: int, error: CameraError) -> CameraError:
        """Why FFmpeg could not open it: its own errors often do not tell."""
        try:
            self._shake_hands(host, port)
            if self._scheme in {"http", "https"}:
                self._refuse_page()
        except CameraError as found:
            return found
        except (OSError, ValueError) as found:
            return CameraError(self._reason(found))
        return error

    def _shake_hands(self, host: str, port: int) -> None:
        with socket.create_connection((host, port), self._asked.open_s) as connection:
            if self._context is not None:
                with self._context.wrap_socket(connection, server_hostname=host):
                    pass

    def _refuse_page(self) -> None:
        with self._ask(self._opener()) as answer:
            kind = answer.headers.get_content_type()
        if kind in {"text/html", "application/xhtml+xml"}:
            raise CameraError(
                f"it answers with a page ({kind}), not with a video or an image",
                "Look up the path of the camera's stream in its manual; the page may be one for the login.",
            )

    def _opener(self) -> OpenerDirector:
        parts = urlsplit(self._uri)
        passwords = HTTPPasswordMgrWithDefaultRealm()
        if parts.username is not None:
            login = unquote(parts.username), unquote(parts.password or "")
            passwords.add_password(None, self._plain_url(), *login)
        return build_opener(
            HTTPSHandler(context=self._context),
            _StaysEncrypted(),
            HTTPBasicAuthHandler(passwords),
            HTTPDigestAuthHandler(passwords),
        )

    def _fetch(self, opener: OpenerDirector, most_bytes: int) -> bytes:
        with self._ask(opener) as answer:
            content: bytes = answer.read(most_bytes + 1)
        if len(content) > most_bytes:
            raise ValueError(f"an image of more than {most_bytes // 10**6} MB")
        return content

    def _ask(self, opener: OpenerDirector) -> HTTPResponse:
        try:
            answer: HTTPResponse = opener.open(self._plain_url(), timeout=self._asked.open_s)
        except HTTPError as error:
            with error:  # it holds the connection
                status = STATUS.get(error.code, f"it answers with an error ({error.code})")
            raise CameraError(status) from None
        return answer

    def _plain_url(self) -> str:
        """The address without the login."""
        parts = urlsplit(self._uri)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))

    def _ffmpeg_options(self) -> Mapping[str, str]:
        options = {"protocol_whitelist": _PROTOCOLS[self._scheme]}
        if self._scheme.startswith("rtsp"):
            options["rtsp_transport"] = "tcp"
        if self._scheme not in _TLS_PORTS:
            return options
        if self._asked.insecure:
            return {**options, "tls_verify": "0"}
        return {**options, "tls_verify": "1", "ca_file": self._asked.ca_file or _system_certificates()}

    def _reason(self, error: Exception) -> str:
        if isinstance(error, URLError) and isinstance(error.reason, Exception):
            error = error.reason
        if isinstance(error, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not accepted ({error.verify_message.rstrip('.')}); name the certificate "
                "of its issuer with ca_file, or accept any with insecure"
            )
        if isinstance(error, socket.gaierror):
            return "there is no host of this name"
        if isinstance(error, TimeoutError):
            return no_answer(self._asked.open_s)
        if isinstance(error, ConnectionRefusedError):
            return REFUSED
        text = error.strerror if isinstance(error, OSError) else None
        return (text or type(error).__name__).lower().rstrip(".")


class _StaysEncrypted(HTTPRedirectHandler):
    """Refuses to be led from https:// to an unencrypted address."""

    def redirect_request(self, req: Request, *others: Any) -> Request | None:
        """The request that a redirection leads to.

        Raises:
            CameraError: It is not encrypted any more.
        """
        new = super().redirect_request(req, *others)
        if new is not None and req.type == "https" != new.type:
            raise CameraError("it leads to an address that is not encrypted")
        return new


def _context_of(encrypted: bool, asked: SourceOptions) -> ssl.SSLContext | None:
    """Whose certificates are accepted; None for an address that is not encrypted."""
    if (asked.ca_file or asked.insecure) and not encrypted:
        raise OptionError(
            "ca_file and insecure are for rtsps:// and https://, and this address is not encrypted.",
            "Leave them out, or use the encrypted address.",
        )
    if not encrypted:
        return None
    try:
        context = ssl.create_default_context(cafile=asked.ca_file or None)
    except OSError as error:  # ssl.SSLError is one too
        raise OptionError(
            f"ca_file {asked.ca_file}: cannot be read: {error.strerror or error}.",
            "Name a file of certificates in PEM format.",
        ) from error
    if asked.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _system_certificates() -> str:
    paths = ssl.get_default_verify_paths()
    for name in (os.environ.get("SSL_CERT_FILE"), paths.cafile, *_SYSTEM_CERTIFICATES):
        if name and Path(name).is_file():
            return name
    raise CameraError(
        "this system has no list of certificates to check the camera's against",
        "Install ca-certificates, or name the camera's issuer with ca_file.",
    )


def _open(uri: str, asked: SourceOptions) -> CameraSource:
    hint = _ENCODE if "#" in uri else _HINT
    return CameraSource(
        redact(uri),
        NetworkCamera(uri, asked),
        hint=hint,
        settings=asked.settings,
        max_reconnects=asked.max_reconnects,
    )


KIND = SourceKind(
    "rtsp://..., http://...",
    lambda uri: scheme_of(uri) in _PORTS,
    _open,
    is_camera=True,
)
