"""The methods there are, by name. A new one is a folder, and a line here."""

from importlib import import_module
from typing import cast

from pcedge.errors import OptionError

from .base import AnyMethod

# The module that has the method under the name METHOD; it is imported when it is first asked for.
METHODS = {
    "patchcore": "pcedge.methods.patchcore",
    "padim": "pcedge.methods.padim",
    "spade": "pcedge.methods.spade",
    "ae": "pcedge.methods.ae",
    "gan": "pcedge.methods.gan",
}


def find_method(name: str) -> AnyMethod:
    """The method of that name.

    Raises:
        OptionError: There is none.
    """
    if name not in METHODS:
        raise OptionError(f"There is no method {name!r}.", f"Choose one of: {', '.join(METHODS)}.")
    return cast(AnyMethod, import_module(METHODS[name]).METHOD)
