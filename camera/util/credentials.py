"""Passwords and tokens, read from an environment variable or a file."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from pcedge.errors import OptionError


@dataclass(frozen=True)
class Secret:
    """A password or token; never shown by ``repr``.

    Attributes:
        value: The text itself.
    """

    value: str = field(repr=False)


def read_secret(what: str, *, env: str = "", file: str = "") -> Secret | None:
    """Read a secret from an environment variable or from a file.

    Args:
        what: Purpose for messages, such as ``sinks.mqtt: password``.
        env: Name of the variable; empty if there is none.
        file: Path of a file whose first line is the secret; empty if there is none.

    Returns:
        None if neither is named.

    Raises:
        OptionError: Both are given, or the given one is missing or empty. The message never contains the
            secret.
    """
    if env and file:
        raise OptionError(f"{what}_env and {what}_file are both set.", "Use one of them.")
    if env:
        return _secret(what, os.environ.get(env, ""), f"the environment variable {env}")
    if file:
        try:
            lines = Path(file).read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise OptionError(f"{what}_file: {file} cannot be read: {reason}.") from error
        return _secret(what, lines[0].strip() if lines else "", f"the first line of {file}")
    return None


def _secret(what: str, value: str, where: str) -> Secret:
    if not value:
        raise OptionError(f"{what}: {where} is empty or not set.", "Store the secret there.")
    return Secret(value)
