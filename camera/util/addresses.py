"""Redaction of secrets in addresses, before they are printed or stored."""

from __future__ import annotations

import re

_HIDDEN = "***"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")
_WHOLE_ADDRESS = re.compile(rf"\s*{_SCHEME.pattern}")
_EMBEDDED_ADDRESS = re.compile(rf"({_SCHEME.pattern})([^\s\"']*)")
_BARE_LOGIN = re.compile(r"^[^/\s@]*:.*@")
# A host that cannot be the start of "user:password@", so that an "@" after it belongs to the path.
_PLAIN_HOST = re.compile(r"(?:(?:\d+\.){3}\d+|\[[0-9A-Fa-f:.%]+\]|localhost)(?::\d+)?|[^:@]*")
_SECRET_FIELD = re.compile(
    r"([\w.%\-]*(?:pas|pwd|pw|psw|token|secret|auth|key|credential|signature|sig|sid|session|user|usr|login)"
    r"[\w.%\-]*=)([^&;\s\"']+)",
    re.IGNORECASE,
)
_LOCAL = ("folder:", "synthetic:", "v4l2:", "file:", "/", ".", "~")


def redact(uri: str) -> str:
    """Return ``uri`` with login names, passwords and tokens replaced by ``***``; never raises.

    Replaces ``user:password`` in addresses, even if the password contains ``@``, ``/`` or ``?``, and the
    value of every ``name=value`` whose name suggests a login, a password or a token. In doubt it hides too
    much: a malformed address may lose its host.
    """
    text = str(uri)
    if text.startswith(_LOCAL):
        return text
    if match := _WHOLE_ADDRESS.match(text):
        text = match.group() + _without_login(text[match.end() :])
    elif _SCHEME.search(text):
        text = _EMBEDDED_ADDRESS.sub(lambda m: m.group(1) + _without_login(m.group(2)), text)
    else:
        text = _BARE_LOGIN.sub(f"{_HIDDEN}@", text)
    return _SECRET_FIELD.sub(rf"\1{_HIDDEN}", text)


def _without_login(rest: str) -> str:
    """``rest`` is an address after ``scheme://``."""
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" not in rest or _PLAIN_HOST.fullmatch(host):
        return rest
    return f"{_HIDDEN}@{rest[rest.rindex('@') + 1 :]}"
