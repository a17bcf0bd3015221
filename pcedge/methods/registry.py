"""The methods there are, by name; one is imported when it is first asked for."""

from importlib import import_module
from typing import cast

from pcedge.bundles.manifest import PATCHCORE
from pcedge.errors import OptionError

from .base import Method
from .common.manifest import METHODS


def find_method(name: str) -> Method:
    """The method of that name.

    Raises:
        OptionError: There is none.
    """
    if name not in METHODS:
        raise OptionError(
            f"There is no method {name!r}.", f"Choose one of: {', '.join((PATCHCORE, *METHODS))}."
        )
    return cast(Method, import_module(f".{name}", __package__).METHOD)
