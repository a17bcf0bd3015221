"""Parsing of a method's own settings, from ``NAME=VALUE`` or a table of a file."""

from collections.abc import Mapping
from typing import Any

import msgspec

from pcedge.errors import OptionError

from .fitter import NetworkParts


def parse_settings(method: NetworkParts, given: Mapping[str, Any]) -> msgspec.Struct:
    """Check the given settings, and fill in the method's defaults.

    Args:
        method: Name of the method.
        given: Values by name; text is parsed to the setting's type.

    Raises:
        OptionError: There is no such setting, or the value is invalid.
    """
    known = {one.name for one in msgspec.structs.fields(method.settings)}
    unknown = [name for name in given if name not in known]
    if unknown:
        raise OptionError(
            f"{method.name} has no setting {unknown[0]!r}.",
            f"Its settings: {', '.join(sorted(known)) or 'none'}.",
        )
    try:
        return msgspec.convert(dict(given), method.settings, strict=False)
    except msgspec.ValidationError as error:
        raise OptionError(
            f"A setting of {method.name} cannot be used: {error}.", "Look at: docs/concepts/methods.md"
        ) from error
