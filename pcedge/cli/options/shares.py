"""Options that take a share: ``0.01`` and ``1%`` say the same."""

from math import isfinite

import typer


def share(text: str | float) -> float:
    """A share from ``0.01``, ``1%`` or ``1 %``; what range makes sense, the option's own check says.

    Raises:
        typer.BadParameter: It is neither a number nor a percentage.
    """
    number, percent = (str(text).strip().removesuffix("%"), str(text).strip().endswith("%"))
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise typer.BadParameter(f"{text!r} is not a share. Give a number or a percentage: 0.01 or 1%.")
    return value / 100 if percent else value


def share_of_all(text: str | float) -> float:
    """A share from 0 to 1, both included.

    Raises:
        typer.BadParameter: It is no share, or outside.
    """
    value = share(text)
    if not 0 <= value <= 1:
        raise typer.BadParameter(f"{text!r} is not between 0 and 1, or 0% and 100%.")
    return value
