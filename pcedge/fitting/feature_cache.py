"""The feature cache: embeddings on disk, keyed by image content and embedder.

The cache may be deleted at any time. Damaged entries are computed again. If it cannot be written, a fit runs
without it.
"""

import errno
import os
import platform
import re
import struct
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from pathlib import Path
from secrets import token_hex
from shutil import disk_usage
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import usable_cores
from pcedge.core.preprocessing import Preprocessing

_FORMAT = b"pcedge1\n"
_HEADER = struct.Struct("<8sIII")  # the format, patches, dims, CRC-32 of the file's name and the values
_ENTRY = re.compile(r"[0-9a-f]{40}-[0-9a-f]{32}\.f32")
_TEMPORARY = re.compile(_ENTRY.pattern + r"\.([0-9a-f]{16})-\d+\.tmp")
_ABANDONED_S = 3600
_CHUNK = 1 << 20
# Share of the limit that is written between two scans of the directory for other processes' changes.
_LOOK_AGAIN = 16
# Modules whose code affects embeddings.
_PACKAGES = ("pcedge.core", "pcedge.networks", "pcedge.fitting", "pcedge.camera", "pcedge.export")
_LIBRARIES = (
    "pcedge",
    "numpy",
    "pillow",
    "torch",
    "torchvision",
    "onnxruntime",
    "onnxruntime-gpu",
    "tensorrt",
)
_PROCESSOR = ("model name", "flags", "CPU implementer", "CPU part", "Features")


def content_digest(path: Path) -> str:
    """Digest of a file's bytes, read in chunks.

    Raises:
        OSError: The file cannot be read.
    """
    digest = blake2b(digest_size=20)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def embedder_key(
    *,
    backbone: str,
    layers: Sequence[str],
    weights_sha256: str,
    embedding: str,
    preprocessing: Preprocessing,
    runtime: str,
    batch: int,
) -> str:
    """Digest of everything except the image that affects the bits of an embedding.

    It covers the arguments, this package's code, the libraries and the processor. Call it after the runtime
    is loaded, since only then its device and its number of threads are known.

    Args:
        backbone: Architecture.
        layers: Layers whose outputs are used.
        weights_sha256: Digest of the weights.
        embedding: ``reference`` or ``mean``.
        preprocessing: How an image becomes the network's input.
        runtime: The runtime and its device, from a runtime's ``name``.
        batch: Images per call of the runtime: another batch size changes the last bits of the output.
    """
    stated = (backbone, *layers, weights_sha256, embedding, repr(preprocessing), runtime, str(batch))
    return _digest([*stated, *_own_code(), *map(_version, _LIBRARIES), *_processors()])


def looks_key() -> str:
    """Digest of everything except the image that affects what it looks like."""
    return _digest(["looks", *_own_code(), *map(_version, _LIBRARIES)])


class FeatureCache:
    """Embeddings on disk, one file per image; the least recently used are removed first.

    Safe to use from several threads and processes. Processes together may exceed the limit by what each adds
    between two scans of the directory: a sixteenth of the limit.

    A run never removes entries that it, or a run that began later, has used: images that do not fit are
    computed every time, all others are always found. The cache never uses more of the disk than it leaves
    free.

    Args:
        directory: Created if missing; entries are in its folder ``features``.
        max_bytes: Size limit of all entries, including those of other embedders; 0 for no cache.
        embedder_key: Key of the embedder, from :func:`embedder_key`.
        shape: Patches per image and values per patch.

    Attributes:
        problem: Why the cache was switched off, as a sentence; empty while it works.
    """

    def __init__(self, directory: Path, max_bytes: int, embedder_key: str, shape: tuple[int, int]) -> None:
        self.problem = ""
        self._folder = directory / "features"
        self._limit = max_bytes
        self._key = embedder_key
        self._shape = shape
        self._entry_bytes = _HEADER.size + 4 * shape[0] * shape[1]
        self._token = token_hex(8)
        self._began_ns = time.time_ns()
        self._order = count()
        self._lock = threading.Lock()
        self._ours: set[str] = set()
        self._older: OrderedDict[str, int] = OrderedDict()
        self._others_bytes = 0
        self._unseen_bytes = 0
        if self.active:
            with self._or_off():
                self._folder.mkdir(parents=True, exist_ok=True)
                self._look()
                self._limit = min(max_bytes, (self._others_bytes + disk_usage(self._folder).free) // 2)
                self._make_room(0)
                if self._entry_bytes > self._limit:
                    raise OSError(errno.ENOSPC, f"no room for one image, {self._entry_bytes} bytes")

    @property
    def active(self) -> bool:
        """Whether the cache is in use."""
        return self._limit > 0 and not self.problem

    def load(self, digest: str) -> NDArray[np.float32] | None:
        """Embeddings [patches, dims] of the image with this content, or None. A damaged entry is removed.

        Args:
            digest: From :func:`content_digest`.
        """
        found = None
        if self.active:
            with self._or_off():
                found = self._read(self._name(digest))
        return found

    def store(self, digest: str, embeddings: NDArray[np.float32]) -> None:
        """Store the embeddings [patches, dims] of the image with this content, if there is room."""
        if not self.active:
            return
        name = self._name(digest)
        rows = np.ascontiguousarray(embeddings, np.float32).reshape(self._shape)
        with self._or_off():
            if self._reserve(name):
                self._write(name, rows)

    @contextmanager
    def _or_off(self) -> Iterator[None]:
        """Switch the cache off at the first error of its file system."""
        try:
            yield
        except OSError as error:
            self.problem = self.problem or (
                f"The feature cache {self._folder} cannot be used ({error.strerror or error}); "
                "this run does without it."
            )

    def _name(self, digest: str) -> str:
        return f"{digest}-{self._key}.f32"

    def _read(self, name: str) -> NDArray[np.float32] | None:
        rows = np.empty(self._shape, np.float32)
        path = self._folder / name
        try:
            with path.open("rb") as file:
                header = file.read(_HEADER.size)
                length = file.readinto(rows.data.cast("B"))
                ends = not file.read(1)
        except FileNotFoundError:
            return None
        whole = ends and length == rows.nbytes and header == _header(name, rows)
        with self._lock:
            self._others_bytes -= self._older.pop(name, 0)
            if whole:
                self._ours.add(name)
            else:
                self._ours.discard(name)
        if not whole:
            path.unlink(missing_ok=True)
            return None
        self._mark(path)
        return rows

    def _reserve(self, name: str) -> bool:
        """Make room for an entry of this run and count it; False if there is no room or it exists."""
        with self._lock:
            if name in self._ours:
                return False
            if self._unseen_bytes >= self._limit // _LOOK_AGAIN:
                self._look()
            if not self._make_room(self._entry_bytes):
                return False
            self._ours.add(name)
            self._unseen_bytes += self._entry_bytes
            return True

    def _make_room(self, needed: int) -> bool:
        """Remove the least recently used entries, except those of this run or a later one."""
        needed += self._entry_bytes * len(self._ours)
        while self._others_bytes + needed > self._limit and self._older:
            name, size = self._older.popitem(last=False)
            (self._folder / name).unlink(missing_ok=True)
            self._others_bytes -= size
        return self._others_bytes + needed <= self._limit

    def _look(self) -> None:
        """Scan for entries of other runs, and remove leftovers of killed processes."""
        found = []
        self._others_bytes = self._unseen_bytes = 0
        with os.scandir(self._folder) as entries:
            for entry in entries:
                temporary = _TEMPORARY.fullmatch(entry.name)
                known = entry.name in self._ours or (temporary and temporary[1] == self._token)
                if known or not (temporary or _ENTRY.fullmatch(entry.name)):
                    continue
                with suppress(FileNotFoundError):  # removed by another process
                    info = entry.stat(follow_symlinks=False)
                    if temporary and time.time() - info.st_mtime > _ABANDONED_S:
                        Path(entry).unlink()
                        continue
                    self._others_bytes += info.st_size
                    # Dates in the future come from a wrong clock.
                    of_later_run = self._began_ns <= info.st_mtime_ns <= time.time_ns()
                    if not (temporary or of_later_run):
                        found.append((info.st_mtime_ns, entry.name, info.st_size))
        self._older = OrderedDict((name, size) for _, name, size in sorted(found))

    def _write(self, name: str, rows: NDArray[np.float32]) -> None:
        temporary = self._folder / f"{name}.{self._token}-{next(self._order)}.tmp"
        try:
            # No fsync: the checksum detects what a power cut has damaged.
            with temporary.open("wb") as file:
                file.write(_header(name, rows))
                file.write(rows.data)
            self._mark(temporary)
            temporary.replace(self._folder / name)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _mark(self, path: Path) -> None:
        """Set an entry's date to this run, the first image the latest.

        Of one run's entries, that of the last image is removed first. Another run over the same images in the
        same order loses the fewest entries that way. In the opposite order each image would evict the next
        one needed.
        """
        used_ns = self._began_ns - next(self._order)
        with suppress(FileNotFoundError):  # removed by another process
            os.utime(path, ns=(used_ns, used_ns))


def _header(name: str, rows: NDArray[np.float32]) -> bytes:
    return _HEADER.pack(_FORMAT, *rows.shape, crc32(rows.data, crc32(name.encode())))


def _digest(parts: Iterable[str]) -> str:
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode())
    return digest.hexdigest()


def _own_code() -> Iterator[str]:
    for package in _PACKAGES:
        for folder in import_module(package).__path__:
            for path in sorted(Path(folder).rglob("*.py")):
                yield path.read_text("utf-8")


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def _processors() -> Iterator[str]:
    """Processor and thread counts, which affect the last bits of a network's output."""
    yield platform.machine()
    with suppress(OSError):  # only Linux has this file
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
        yield from sorted({line for line in lines if line.startswith(_PROCESSOR)})
    yield str(usable_cores())
    if torch := sys.modules.get("torch"):
        yield str(torch.get_num_threads())
        yield from map(torch.cuda.get_device_name, range(torch.cuda.device_count()))
