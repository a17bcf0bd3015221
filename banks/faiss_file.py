"""FAISS files from elsewhere: kind, sizes and lengths are checked before FAISS reads them.

FAISS believes a file: it takes the memory that a length asks for, and opens the paths that an index on disk
names. So the beginning is read here first.
"""

import re
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pcedge.errors import BundleError

# The first four bytes of the kinds that `pcedge index` writes: flat, quantised, products of them, inverted
# lists, graphs, and those with a transformation before or an exact comparison after.
FLAT = b"IxF2"
KINDS = frozenset(
    {
        FLAT,
        b"IxSQ",
        b"IxPq",
        b"IxPT",
        b"IxRF",
        b"IwFl",
        b"IwSq",
        b"IwPQ",
        b"IwQR",
        b"IHNf",
        b"IHNs",
        b"IHNp",
        b"INSf",
    }
)
# Kind, dims, rows; every index begins so.
_HEAD = struct.Struct("<4siq")
# What follows in a flat index before its rows: two numbers, whether it is trained, its metric, a length.
_LENGTH_OF_FLAT = struct.Struct("<qqBiQ")
# Inverted lists in a file of their own: the name, and two numbers that are small.
_ON_DISK = re.compile(rb"ilod.{4}\0{4}.{4}\0{4}", re.DOTALL)
_one_at_a_time = threading.Lock()


def read_faiss(
    path: Path, kinds: frozenset[bytes], hint: str, *, flags: int = 0, rows: int | None = None
) -> Any:
    """Read an index of one of these kinds.

    Args:
        path: The file.
        kinds: First four bytes that are accepted.
        hint: What to do if it cannot be read.
        flags: FAISS's flags for reading.
        rows: Rows that it must have; None where they are not known.

    Raises:
        BundleError: It is missing, of another kind or size, or damaged.
    """
    import faiss

    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_HEAD.size + _LENGTH_OF_FLAT.size)
        _check_head(path, head, size, kinds, hint, rows)
        if head[:4] != FLAT:
            _check_lists(path, hint)
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}.", hint) from error
    with _one_at_a_time, _lengths_of_at_most(size):
        try:
            return faiss.read_index(str(path), flags)
        except (RuntimeError, MemoryError) as error:
            raise BundleError(f"{path} cannot be read as a FAISS index.", hint) from error


def _check_head(
    path: Path, head: bytes, size: int, kinds: frozenset[bytes], hint: str, rows: int | None
) -> None:
    if len(head) < _HEAD.size:
        raise BundleError(f"{path} cannot be read as a FAISS index.", hint)
    kind, dims, found = _HEAD.unpack_from(head)
    if kind not in kinds:
        name = kind.decode("ascii", "backslashreplace")
        raise BundleError(f"{path} is no FAISS index of a kind that is read here ({name!r}).", hint)
    if dims < 1 or found < 0 or (rows is not None and found != rows):
        raise BundleError(f"{path} claims to hold {found} rows of {dims} values.", hint)
    if kind == FLAT and not _is_as_long_as_its_rows(head, size, dims * found):
        raise BundleError(f"{path} is not as long as {found} rows of {dims} values are.", hint)


def _is_as_long_as_its_rows(head: bytes, size: int, values: int) -> bool:
    begin = _HEAD.size + _LENGTH_OF_FLAT.size
    if len(head) < begin:
        return False
    length = _LENGTH_OF_FLAT.unpack_from(head, _HEAD.size)[-1]
    return bool(length == values and size == begin + 4 * values)


def _check_lists(path: Path, hint: str) -> None:
    if _ON_DISK.search(path.read_bytes()):
        raise BundleError(f"{path} names another file for its rows, which is not opened.", hint)


@contextmanager
def _lengths_of_at_most(size: int) -> Iterator[None]:
    """Let FAISS refuse a length that is longer than the whole file; versions before 1.13 cannot."""
    import faiss

    if not hasattr(faiss, "set_deserialization_vector_byte_limit"):
        yield
        return
    before = faiss.get_deserialization_vector_byte_limit()
    faiss.set_deserialization_vector_byte_limit(size)
    try:
        yield
    finally:
        faiss.set_deserialization_vector_byte_limit(before)
