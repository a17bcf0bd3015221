"""Arrays in a file, replaced whole."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from .files import replace_file


def replace_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an ``.npz`` file in place of the one that may be there, which is never written into.

    A reader sees the old arrays or the new, and what is linked to the old file keeps it.
    """
    content = BytesIO()
    np.savez(content, **cast(dict[str, Any], dict(arrays)))
    replace_file(path, content.getvalue())
