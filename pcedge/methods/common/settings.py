"""A method's own settings: from ``NAME=VALUE``, or a table of a file, to checked values."""

from collections.abc import Mapping
from typing import Any

import msgspec

from pcedge.errors import OptionError

from .fitter import NetworkParts


def parse_settings(method: NetworkParts, given: Mapping[str, Any]) -> msgspec.Struct:
    """Check what was set, and fill in the method's defaults.

    Args:
        method: Whose settings.
        given: Values by name; text is read as the number or truth value that the setting is.

    Raises:
        OptionError: There is no such setting, or it cannot have that value.
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
