"""Reading and atomic writing of ``.npz`` files."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, cast
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from pcedge.errors import BundleError

from .files import replace_file

# TypeError: the file holds a single array, which is no context manager. KeyError: an array is missing.
_FAULTS = (OSError, ValueError, KeyError, EOFError, TypeError, BadZipFile)
_HINT = "Fit again, or restore the file."


@contextmanager
def open_arrays(path: Path, hint: str = _HINT) -> Iterator[Mapping[str, NDArray[Any]]]:
    """Open an ``.npz`` file whose arrays are read on access; parse them inside the block.

    Args:
        path: The file.
        hint: What to do if the file is damaged.

    Raises:
        BundleError: The file is missing, damaged or not what the block expects; the message names it.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            yield stored
    except _FAULTS as error:
        raise BundleError(f"{path} cannot be read ({error}).", hint) from error


def read_arrays(path: Path, hint: str = _HINT) -> dict[str, NDArray[Any]]:
    """All arrays of an ``.npz`` file.

    Raises:
        BundleError: The file is missing or damaged; the message names it.
    """
    with open_arrays(path, hint) as stored:
        return dict(stored)


def replace_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an ``.npz`` file atomically, replacing an existing one.

    A reader sees the old arrays or the new ones. Hard links to the old file keep the old content.
    """
    content = BytesIO()
    np.savez(content, **cast(dict[str, Any], dict(arrays)))
    replace_file(path, content.getvalue())
