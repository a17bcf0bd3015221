"""Writes a ``.npy`` file row by row, so that the array need not fit into memory."""

from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

# NumPy's format 1.0: magic, version, header length. A fixed size, so that it can be written at the end.
_HEADER_BYTES = 128
_PREAMBLE = b"\x93NUMPY\x01\x00" + (_HEADER_BYTES - 10).to_bytes(2, "little")


class RowFile:
    """Writes a float32 array [rows, ...]; the number of rows is written at the end of the block.

    A full disk raises an OSError; with a memory-mapped file it would kill the process.

    Args:
        path: Where to write; an existing file is replaced.
        row_shape: Shape of a row.
    """

    def __init__(self, path: Path, row_shape: tuple[int, ...]) -> None:
        self._file = path.open("wb")
        self._row_shape = row_shape
        self._rows = 0

    def append(self, rows: NDArray[np.float32]) -> None:
        """Write more rows [n, ...]."""
        values = np.ascontiguousarray(rows, "<f4").reshape(-1, *self._row_shape)
        self._file.write(values.data.cast("B") if values.size else b"")
        self._rows += len(values)

    def __enter__(self) -> "RowFile":
        self._file.write(bytes(_HEADER_BYTES))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:
            if error is None:
                shape = (self._rows, *self._row_shape)
                text = repr({"descr": "<f4", "fortran_order": False, "shape": shape}).encode()
                self._file.seek(0)
                self._file.write(_PREAMBLE + text.ljust(_HEADER_BYTES - len(_PREAMBLE) - 1) + b"\n")
