"""Matplotlib figures: check the file name, create, assign colours, save."""

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
    """Check, before the long work, that a figure can be written to this path; return the path.

    Raises:
        OptionError: The suffix is not a supported format.
        MissingExtraError: Matplotlib is not installed.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise OptionError(f"Cannot draw {path.name}.", f"Choose a name that ends in {', '.join(_SUFFIXES)}.")
    _require_matplotlib()
    return path


def new_figure(width_in: float, height_in: float) -> "Figure":
    """An empty figure without a window.

    Raises:
        MissingExtraError: Matplotlib is not installed.
    """
    _require_matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), dpi=_DPI, layout="constrained")


def colours_of(names: Iterable[Name]) -> dict[Name, str]:
    """One colour per distinct name, assigned in order of first appearance."""
    return {name: f"C{number}" for number, name in enumerate(dict.fromkeys(names))}


def save_figure(figure: "Figure", path: Path, hint: str = "Choose another --plot FILE.") -> None:
    """Write a figure to a file, in the format given by its suffix.

    Raises:
        OutputError: The file cannot be written.
    """
    try:
        figure.savefig(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}.", hint) from error


def _require_matplotlib() -> None:
    try:
        import matplotlib as mpl  # noqa: F401 (a missing dependency must show before the long work)
    except ImportError:
        raise MissingExtraError("matplotlib", "report", "Drawing") from None
