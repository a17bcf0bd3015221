"""The typed door to ``.npz`` files from elsewhere: sizes before memory, and every array as it must be.

NumPy writes these files without compression. So what is in one is never larger than the file, and a file
that says otherwise is refused before anything of it is unpacked.
"""

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from pcedge.errors import BundleError

FAULTS = (
    *(OSError, ValueError, KeyError, EOFError, TypeError, OverflowError, MemoryError, struct.error),
    *(BadZipFile, NotImplementedError, RuntimeError, SyntaxError, RecursionError),
)
FLOAT, WHOLE, TEXT, TRUTH = "f", "iu", "U", "b"
_SUFFIX = ".npy"
_PIECE = 1 << 20


class StoredArrays(Mapping[str, NDArray[Any]]):
    """The arrays of a file, each read when it is asked for.

    Lengths that are named by a word must be the same wherever the word is used.
    """

    def __init__(self, archive: ZipFile) -> None:
        self._archive = archive
        self._members = {info.filename.removesuffix(_SUFFIX): info for info in archive.infolist()}
        self._lengths: dict[str, int] = {}

    def __getitem__(self, name: str) -> NDArray[Any]:
        """An array of any kind and shape but of objects; its header is checked before its memory is taken."""
        info = self._members[name]
        with self._archive.open(info) as file:
            shape, fortran, dtype = _read_header(file)
            values = int(np.prod(shape, dtype=object)) if shape else 1
            if dtype.hasobject or values * dtype.itemsize != info.file_size - file.tell():
                raise ValueError(f"{name}: its header does not describe its content")
            content = _read(file, values, dtype)
        return content.reshape(shape[::-1]).T if fortran else content.reshape(shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def array(
        self, name: str, kind: str, *shape: int | str, low: float | None = None, high: float | None = None
    ) -> NDArray[Any]:
        """An array that must be of this kind and shape, with all values in a range.

        Args:
            name: Its name.
            kind: ``FLOAT``, ``WHOLE``, ``TEXT`` or ``TRUTH``.
            shape: Its lengths: numbers, or words for lengths that the file decides.
            low: Least value; None for any, and then values need not be finite.
            high: Largest value; None for any.

        Raises:
            KeyError: There is none of this name.
            ValueError: It is of another kind or shape, or a value is out of range.
        """
        found = self[name]
        _check_form(name, found, kind, shape, self._lengths)
        # Written so that what is not a number is out of range too.
        if low is not None and found.size and not found.min() >= low:
            raise ValueError(f"{name} has a value below {low}")
        if high is not None and found.size and not found.max() <= high:
            raise ValueError(f"{name} has a value above {high}")
        return found

    def texts(self, name: str, length: int | str) -> list[str]:
        """An array of texts.

        Raises:
            KeyError: There is none of this name.
            ValueError: It holds something else.
        """
        found: list[str] = self.array(name, TEXT, length).tolist()
        return found

    def whole(self, name: str, *, low: int, high: int) -> int:
        """A single whole number in a range.

        Raises:
            KeyError: There is none of this name.
            ValueError: It is something else.
        """
        return int(self.array(name, WHOLE, low=low, high=high))


@contextmanager
def open_stored(path: Path, hint: str) -> Iterator[StoredArrays]:
    """Open an ``.npz`` file; parse its arrays inside the block.

    Args:
        path: The file.
        hint: What to do if the file is damaged.

    Raises:
        BundleError: The file is missing, damaged or not what the block expects; the message names it.
    """
    try:
        with path.open("rb") as file, ZipFile(file) as archive:
            _check_sizes(archive, path.stat().st_size)
            yield StoredArrays(archive)
    except FAULTS as error:
        raise BundleError(f"{path} cannot be read ({error}).", hint) from error


def map_array(path: Path, hint: str, kind: str, *shape: int | str) -> NDArray[Any]:
    """The array of a ``.npy`` file, mapped into memory: only what is used is read.

    Args:
        path: The file.
        hint: What to do if the file is damaged.
        kind: ``FLOAT``, ``WHOLE``, ``TEXT`` or ``TRUTH``.
        shape: Its lengths: numbers, or words for lengths that the file decides.

    Raises:
        BundleError: The file is missing, damaged or of another kind or shape.
    """
    try:
        with path.open("rb") as file:
            found, fortran, dtype = _read_header(file)
            start = file.tell()
        if dtype.hasobject or fortran or np.prod(found, dtype=object) * dtype.itemsize != _rest(path, start):
            raise ValueError("its header does not describe its content")
        content = np.memmap(path, dtype, "r", start, found)
        _check_form(path.name, content, kind, shape, {})
    except FAULTS as error:
        raise BundleError(f"{path} cannot be read ({error}).", hint) from error
    return content


def _check_form(
    name: str, found: NDArray[Any], kind: str, shape: tuple[int | str, ...], lengths: dict[str, int]
) -> None:
    if found.dtype.kind not in kind or found.ndim != len(shape):
        raise ValueError(f"{name} is {found.dtype} {found.shape}")
    for length, wanted in zip(found.shape, shape, strict=True):
        due = wanted if isinstance(wanted, int) else lengths.setdefault(wanted, length)
        if length != due:
            raise ValueError(f"{name} has the shape {found.shape}, not {shape}")


def _rest(path: Path, start: int) -> int:
    return path.stat().st_size - start


def _check_sizes(archive: ZipFile, size: int) -> None:
    """Members that lie on top of each other, or are compressed, could be larger than the file."""
    members = archive.infolist()
    if any(info.compress_type != ZIP_STORED for info in members):
        raise ValueError("its arrays are compressed")
    if sum(info.file_size for info in members) > size:
        raise ValueError("its arrays are larger than the file")


def _read(file: IO[bytes], values: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Read piece by piece: the content is not in memory twice."""
    content = np.empty(values, dtype)
    left = content.view(np.uint8).data if content.nbytes else memoryview(b"")
    while left:
        piece = file.read(min(len(left), _PIECE))
        if not piece:
            raise EOFError("it ends too early")
        left[: len(piece)] = piece
        left = left[len(piece) :]
    if file.read(1):
        raise ValueError("it does not end")
    return content


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(file)
    if version == (1, 0):
        return npy.read_array_header_1_0(file)
    if version == (2, 0):
        return npy.read_array_header_2_0(file)
    raise ValueError(f"its arrays are of version {version}")
