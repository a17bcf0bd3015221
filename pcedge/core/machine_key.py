"""A secret key of this machine, which seals what the machine found out itself.

A digest shows damage, not origin: whoever writes a file can write its digest too. A message authentication
code (HMAC-SHA-256, RFC 2104) under a key that never leaves this machine shows that this machine wrote it.
"""

import hmac
import os
import secrets
from pathlib import Path

from .defaults import make_state_folder, state_directory

_KEY_FILE = "machine.key"
_KEY_BYTES = 32


def seal(content: bytes) -> str:
    """The authentication code of ``content``, 64 hexadecimal digits; the key is made on first use.

    Raises:
        OSError: The state directory cannot be written to.
    """
    key = _read_key()
    return _code(key if key is not None else _make_key(), content)


def is_sealed(content: bytes, code: str) -> bool:
    """Whether this machine sealed ``content`` with this code."""
    key = _read_key()
    return key is not None and hmac.compare_digest(_code(key, content).encode(), code.encode())


def _code(key: bytes, content: bytes) -> str:
    return hmac.digest(key, content, "sha256").hex()


def _read_key() -> bytes | None:
    try:
        key = (state_directory() / _KEY_FILE).read_bytes()
    except OSError:
        return None
    return key if len(key) == _KEY_BYTES else None


def _make_key() -> bytes:
    path = make_state_folder() / _KEY_FILE
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write_new(temporary, secrets.token_bytes(_KEY_BYTES))
        temporary.replace(path)  # of two that make it at once, the later wins, and the other verifies again
    finally:
        temporary.unlink(missing_ok=True)
    return path.read_bytes()


def _write_new(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
