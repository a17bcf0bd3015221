"""Reading and atomic writing of ``.npz`` files."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import StoredArrays, open_stored

from .files import replace_file

REFIT = "Fit again, or restore the file."


def open_arrays(path: Path, hint: str = REFIT) -> AbstractContextManager[StoredArrays]:
    """Open an ``.npz`` file of a bundle; parse its arrays inside the block.

    Args:
        path: The file.
        hint: What to do if the file is damaged.

    Raises:
        BundleError: The file is missing, damaged or not what the block expects; the message names it.
    """
    return open_stored(path, hint)


def read_arrays(path: Path, hint: str = REFIT) -> dict[str, NDArray[Any]]:
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
