"""Figures that are drawn into files: made, coloured and saved in one way."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pcedge.errors import MissingExtraError, OptionError, OutputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SUFFIXES = (".png", ".svg", ".pdf")
_DPI = 130

Name = TypeVar("Name")


def check_plot(path: Path) -> Path:
    """Return the path of a figure that can be drawn, before the long work.

    Raises:
        OptionError: Its suffix names no format.
        MissingExtraError: Matplotlib is not installed.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise OptionError(f"Cannot draw {path.name}.", f"Choose a name that ends in {', '.join(_SUFFIXES)}.")
    _require_matplotlib()
    return path


def new_figure(width_in: float, height_in: float) -> "Figure":
    """An empty figure that no window shows.

    Raises:
        MissingExtraError: Matplotlib is not installed.
    """
    _require_matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), dpi=_DPI, layout="constrained")


def colours_of(names: Iterable[Name]) -> dict[Name, str]:
    """A colour for every name, in the order in which they are met first."""
    return {name: f"C{number}" for number, name in enumerate(dict.fromkeys(names))}


def save_figure(figure: "Figure", path: Path, hint: str = "Choose another --plot FILE.") -> None:
    """Write a figure into a file, in the format that its suffix names.

    Raises:
        OutputError: The file cannot be written.
    """
    try:
        figure.savefig(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}.", hint) from error


def _require_matplotlib() -> None:
    try:
        import matplotlib as mpl  # noqa: F401 (what is missing must be found before the long work)
    except ImportError:
        raise MissingExtraError("matplotlib", "report", "Drawing") from None
