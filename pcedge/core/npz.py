"""Arrays in a file: read with every fault named, and replaced whole."""

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

# A TypeError is a lone array, which is no context manager; a KeyError an array that is not there.
_FAULTS = (OSError, ValueError, KeyError, EOFError, TypeError, BadZipFile)
_HINT = "Fit again, or restore the file."


@contextmanager
def open_arrays(path: Path, hint: str = _HINT) -> Iterator[Mapping[str, NDArray[Any]]]:
    """The arrays of an ``.npz`` file, each read when it is asked for; what is made of them belongs inside.

    Args:
        path: The file.
        hint: What to do about one that is damaged.

    Raises:
        BundleError: The file is missing, damaged or not what the block expects; names it.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            yield stored
    except _FAULTS as error:
        raise BundleError(f"{path} cannot be read ({error}).", hint) from error


def read_arrays(path: Path, hint: str = _HINT) -> dict[str, NDArray[Any]]:
    """All arrays of an ``.npz`` file.

    Raises:
        BundleError: The file is missing or damaged; names it.
    """
    with open_arrays(path, hint) as stored:
        return dict(stored)


def replace_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an ``.npz`` file in place of the one that may be there, which is never written into.

    A reader sees the old arrays or the new, and what is linked to the old file keeps it.
    """
    content = BytesIO()
    np.savez(content, **cast(dict[str, Any], dict(arrays)))
    replace_file(path, content.getvalue())
