"""Why a network camera could not be opened, in words."""

from __future__ import annotations

import re
import socket
import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from .tls import Trust

_PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322}
_ASK_S = 3.0
# What ends the part of an address that may hold a login.
_MARKS = re.compile(r"[/?#]")
_KINDS = ("video/", "image/", "multipart/", "audio/", "application/octet-stream")


def reason_of(error: Exception, uri: str, trust: Trust) -> str:
    """Return why FFmpeg could not open an address, without the address and its password."""
    import av

    words: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
        (av.HTTPUnauthorizedError, _login(uri)),
        (av.HTTPForbiddenError, "the camera forbids it to this login (403)"),
        (av.HTTPNotFoundError, "the camera has nothing at this path (404 not found)"),
        (av.HTTPError, f"the camera answers with an error: {_said(error)}"),
        (ConnectionRefusedError, "connection refused: nothing listens at this port"),
        ((av.error.ExitError, TimeoutError), "no answer in time"),
    )
    found = next((text for kinds, text in words if isinstance(error, kinds)), "")
    return found or _unknown_host(uri) or _answers_with(uri, trust) or _other(error)


def bad_login(uri: str) -> str:
    """What is wrong with how a login is written in an address; empty if nothing is."""
    rest = uri.partition("://")[2]
    place = _MARKS.split(rest, maxsplit=1)[0]
    if "@" in place or "@" not in rest or not re.search(r":(?!\d{1,5}$)", place):
        return ""
    return (
        "its login holds '#', '/' or '?', which end it: write %23 for '#', %2F for '/', %3F for '?' "
        "in the password"
    )


def _login(uri: str) -> str:
    given = "@" in _MARKS.split(uri.partition("://")[2], maxsplit=1)[0]
    return f"the login was refused (401): {'wrong user or password' if given else 'the address has no login'}"


def _said(error: Exception) -> str:
    text = getattr(error, "strerror", "") or type(error).__name__
    return text.removeprefix("Server returned ")


def _unknown_host(uri: str) -> str:
    try:
        parts = urlsplit(uri)
        socket.getaddrinfo(parts.hostname, parts.port or _PORTS.get(parts.scheme.lower()))
    except socket.gaierror:
        return "there is no host of this name"
    except ValueError:
        return "host or port of the address cannot be read"
    return ""


def _answers_with(uri: str, trust: Trust) -> str:
    """What an HTTP server gives instead of images; empty if it cannot be asked."""
    parts = urlsplit(uri)
    if parts.scheme.lower() not in {"http", "https"} or not parts.hostname:
        return ""
    try:
        connection = _connection(parts.scheme.lower(), parts.hostname, parts.port, trust)
        connection.request("GET", f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}")
        kind = connection.getresponse().getheader("Content-Type", "").partition(";")[0].strip().lower()
        connection.close()
    except (OSError, HTTPException):
        return ""
    if kind.startswith("multipart/"):
        return "not a video: its multipart stream is malformed (does each part begin with the boundary?)"
    if kind and not kind.startswith(_KINDS):
        page = ", a login page perhaps" if kind == "text/html" else ""
        return f"not a video: the answer is {kind[:40]}{page}"
    return ""


def _connection(scheme: str, host: str, port: int | None, trust: Trust) -> HTTPConnection:
    if scheme == "http":
        return HTTPConnection(host, port, timeout=_ASK_S)
    context = ssl.create_default_context(cafile=trust.ca_file or None)
    if trust.insecure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return HTTPSConnection(host, port, timeout=_ASK_S, context=context)


def _other(error: Exception) -> str:
    import av

    if isinstance(error, av.InvalidDataError):
        return "not a video: what it sends cannot be read as one"
    return (getattr(error, "strerror", "") or type(error).__name__).lower()
