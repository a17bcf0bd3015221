"""Addresses as they may be printed or stored: what is known to be harmless is kept, all else is hidden.

Secrets are anywhere in an address: in the login, in the path (webhooks), in the query, and anywhere at all
where somebody mistyped it. So this does not look for secrets; it keeps scheme, host and port.
"""

from __future__ import annotations

import re

_HIDDEN = "***"
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://(.*)", re.DOTALL)
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9][A-Za-z0-9._\-]*)(?::\d{1,5})?")
# A host that cannot be the start of "user:password/...@host".
_CERTAIN_HOST = re.compile(r"(?:(?:\d+\.){3}\d+|\[[0-9A-Fa-f:.%]+\]|localhost)(?::\d{1,5})?|[^:]+")
_PIPELINE = re.compile(r"(gst:)\s*([A-Za-z0-9_]*)")
# What begins like an address and is none, such as "rtsp//user:password@host".
_NEARLY = re.compile(r"(rtsps?|https?|rtmps?|udp|tcp|mqtts?)(?![A-Za-z0-9])", re.IGNORECASE)
_LOCAL = ("folder:", "synthetic:", "v4l2:", "csi:", "file:", "/", ".", "~")
_IN_AN_ADDRESS = re.compile(r"[@:?=&;#]")


def printable(text: str) -> str:
    r"""A file's name as text that can be stored and sent: bytes that are not UTF-8 become ``\xfc``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def redact(uri: str) -> str:
    """Return scheme, host and port of an address, with ``***`` for what else is in it; never raises.

    The sources of this machine (folders, devices, files) are shown whole. In doubt too much is hidden: an
    address of which it is not certain where the host begins loses its host.
    """
    text = str(uri).strip()
    if text.startswith(_LOCAL) and not text.startswith("//"):
        return text
    if match := _PIPELINE.match(text):
        return f"{match[1]}{match[2]} {_HIDDEN}"
    if match := _ADDRESS.fullmatch(text):
        return f"{match[1]}://{_harmless(match[2])}"
    if match := _NEARLY.match(text):
        return f"{match[1]}{_HIDDEN}"
    return _HIDDEN if _IN_AN_ADDRESS.search(text) or text.startswith("//") else text


def _harmless(rest: str) -> str:
    """What may be shown of an address after ``scheme://``."""
    place, after = re.match(r"([^/?#]*)(.*)", rest, re.DOTALL).groups()  # type: ignore[union-attr]  # always matches
    login, at, host = place.rpartition("@")
    uncertain = "@" in after and (at or not _CERTAIN_HOST.fullmatch(place))
    if uncertain or not _HOST.fullmatch(host):
        return _HIDDEN if rest else ""
    hidden = f"/{_HIDDEN}" if after.strip("/") else after
    return f"{_HIDDEN}@{host}{hidden}" if login else f"{host}{hidden}"
