"""The files of a bundle, each checked against the manifest before use."""

import time
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Generic, NamedTuple, TypeVar

from pcedge.errors import BundleError

from .external_data import external_files
from .manifest import MANIFEST_FILE, FileInfo, ProductManifest, inside_bundle

_SETTLED_NS = 2 * 10**9
# ONNX, whole or a part.
_NETWORKS = frozenset({".onnx", ".onnxpart"})
AnyManifest_co = TypeVar("AnyManifest_co", bound=ProductManifest, covariant=True)


class _FileState(NamedTuple):
    """File metadata that shows that a checked file has not changed, without reading it again."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


@dataclass(frozen=True)
class BundleFiles(Generic[AnyManifest_co]):
    """A bundle of any method on disk.

    Attributes:
        directory: The bundle's directory.
        manifest: The bundle's manifest.
    """

    directory: Path
    manifest: AnyManifest_co
    _checked: dict[str, _FileState] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def nbytes(self) -> int:
        """Total size of all files in bytes."""
        return sum(file.size for file in self.manifest.files.values())

    def has(self, name: str) -> bool:
        """Whether the bundle lists a file, such as ``embedder.onnx``."""
        return name in self.manifest.files

    def file(self, name: str) -> Path:
        """Path of a file, after checking it against the manifest; checked again only when it changes.

        Raises:
            BundleError: The file is not listed, missing, a link, or differs in a single byte; or one that a
                network takes its weights from is.
        """
        stated = self.manifest.files.get(name)
        if stated is None:
            raise BundleError(f"The bundle {self.directory} has no {name}.", "Fit it again.")
        path = inside_bundle(self.directory).path(name, f"{self.directory / MANIFEST_FILE}, files:")
        if not path.is_file():
            raise BundleError(
                f"{path} is missing from its bundle.", "Restore the file, or fit the bundle again."
            )
        before = _state(path)
        if self._checked.get(name) == before:
            return path
        if describe_file(path) != stated:
            raise BundleError(
                f"{path} is not the file that the manifest describes: it was changed or damaged.",
                "Restore the file, or fit the bundle again.",
            )
        self._check_external_data(name, path)
        # A file may change twice within one tick of the file system's clock: a new one is looked at again.
        if max(before.modified_ns, before.changed_ns) < time.time_ns() - _SETTLED_NS:
            self._checked[name] = before
        return path

    def _check_external_data(self, name: str, path: Path) -> None:
        """Check the files that a network takes weights or compiled parts from: its loader opens them."""
        inside = inside_bundle(path.parent)
        for location in external_files(path) if path.suffix in _NETWORKS else ():
            inside.path(location, f"{path}, data in another file:")
            self.file((PurePosixPath(name).parent / location).as_posix())

    def files_in(self, folder: str) -> list[Path]:
        """Checked paths of all files below a folder of the bundle, sorted by name."""
        names = sorted(name for name in self.manifest.files if name.startswith(f"{folder}/"))
        return [self.file(name) for name in names]


def describe_file(path: Path) -> FileInfo:
    """Digest and size of a file."""
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return FileInfo(sha256=digest.hexdigest(), size=path.stat().st_size)


def _state(path: Path) -> _FileState:
    stat = path.stat()
    return _FileState(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
