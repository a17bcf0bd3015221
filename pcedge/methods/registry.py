"""The registry of methods by name. A new method is a folder and a line here."""

from importlib import import_module
from typing import cast

from pcedge.errors import OptionError

from .base import AnyMethod

# Modules with the method as METHOD, imported on first use.
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
        OptionError: There is no such method.
    """
    if name not in METHODS:
        raise OptionError(f"There is no method {name!r}.", f"Choose one of: {', '.join(METHODS)}.")
    return cast(AnyMethod, import_module(METHODS[name]).METHOD)
