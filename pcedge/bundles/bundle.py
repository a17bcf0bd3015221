"""The PatchCore bundle: one directory per product, files checked on use, replaced atomically."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import msgspec

from pcedge.banks import INDEX_FILE, ROWS_FILE, ApproximateIndex, Bank, MilvusAddress, MilvusIndex
from pcedge.core.defaults import DEFAULT_MODELS
from pcedge.core.files import alone_with, link_or_copy, recover, replace_directory, replace_file
from pcedge.core.inside import is_name
from pcedge.errors import BundleError, OptionError, PcedgeError

from .files import BundleFiles, describe_file
from .manifest import (
    EXACT,
    INT8,
    INT8_TRT,
    MANIFEST_FILE,
    MILVUS,
    AnyManifest,
    IndexInfo,
    Manifest,
    Precision,
    ProductManifest,
    read_manifest,
    read_manifest_as,
)
from .product_bundle import ProductBundle

EMBEDDER_FILE = "embedder.onnx"
# Bytes that, appended to an embedder of any precision, make one network of embedder and search.
SEARCH_PART_FILE = "search.onnxpart"
BACKBONE_FILE = "backbone.safetensors"
CURRENT_FILE = "current"
# Written while watching; not listed in the manifest.
ROW_USAGE_FILE = "row_usage.npz"
# By which option of export a precision is made, where it is not called so.
_OPTIONS = {INT8_TRT: "int8 --trt"}


@dataclass(frozen=True)
class Bundle(ProductBundle[Manifest]):
    """A PatchCore bundle on disk."""

    @classmethod
    def open(cls, directory: Path) -> "Bundle":
        """Read a bundle's manifest; its files are checked one by one as they are used."""
        recover(directory, remove=False)
        return cls(directory, read_manifest(directory))

    @property
    def is_exported(self) -> bool:
        """Whether it has a network that runs without PyTorch."""
        return self.has(EMBEDDER_FILE)

    @property
    def bank_rows(self) -> int:
        """Number of rows in its memory bank."""
        return self.manifest.bank.rows

    def check(self) -> None:
        """Check every file against the manifest, and that the bank can be read."""
        super().check()
        self.open_bank()

    @property
    def precisions(self) -> list[Precision]:
        """Precisions for which the bundle has a network, its own first."""
        own = self.manifest.precision
        others = [name for name in get_args(Precision) if self.has(f"{name}/{MANIFEST_FILE}")]
        return [own, *others]

    def in_precision(self, precision: Precision) -> "Bundle":
        """The bundle with the network in another precision, and the bank and threshold made with it.

        Raises:
            BundleError: There is no such network, or its manifest was changed.
            OptionError: It does not keep the index that this bundle is searched with.
        """
        if precision == self.manifest.precision:
            return self
        if precision not in self.precisions:
            option = _OPTIONS.get(precision, precision)
            raise BundleError(
                f"The bundle {self.directory} has no network in {precision} "
                f"(there: {', '.join(self.precisions)}).",
                f"Make it with: pcedge export --{option} --model {self.directory}",
            )
        self.file(f"{precision}/{MANIFEST_FILE}")
        other = Bundle(self.directory / precision, read_manifest(self.directory / precision))
        return other.searched_by(self.manifest.index)

    def searched_by(self, index: str | None) -> "Bundle":
        """The same bundle with another index for its bank; None keeps the bundle's own.

        Raises:
            OptionError: The index is neither ``exact`` nor ``int8`` nor one that the bundle keeps.
        """
        if index is None:
            return self
        known = (EXACT, INT8, *self.manifest.indexes)
        if index not in known:
            raise OptionError(
                f"The bundle {self.directory} keeps no index {index!r}, only: {'; '.join(known)}.",
                f"Make it with: pcedge index '{index}' --keep --model {self.directory}",
            )
        return Bundle(self.directory, msgspec.structs.replace(self.manifest, index=index))

    def open_bank(self) -> Bank:
        """Check and read the memory bank and its search index.

        Raises:
            BundleError: A file is missing or changed, or the index was made for other rows.
            BankServerError: It is searched in a Milvus that cannot be reached or does not hold it, or the
                environment names none.
        """
        self.file(INDEX_FILE)
        self.file(ROWS_FILE)
        index = self.manifest.index
        bank = Bank.open(self.directory, on_disk=index != EXACT)
        if bank.dims != self.manifest.embedding.dims:
            raise BundleError(
                f"The bank of {self.directory} has {bank.dims} dims a row, its embedder gives "
                f"{self.manifest.embedding.dims}.",
                "The files do not belong together: fit the bundle again.",
            )
        if index in (EXACT, INT8):
            return bank
        info = self.manifest.indexes.get(index)
        if info is None or info.bank_sha256 != self.manifest.files[INDEX_FILE].sha256:
            raise BundleError(
                f"The bundle {self.directory} has no index {index!r} for the rows in its bank.",
                f"Make it with: pcedge index '{index}' --use '{index}', or search exactly: --index exact",
            )
        return bank.searched_by(self._open_index(info, bank), info.candidates)

    def _open_index(self, info: IndexInfo, bank: Bank) -> ApproximateIndex | MilvusIndex:
        if info.factory == MILVUS:
            address = MilvusAddress.of_this_machine(info.parameters)
            return MilvusIndex.open(address, info.bank_sha256, rows=len(bank), dims=bank.dims)
        path = self.file(info.file)
        index = ApproximateIndex.open(path, info.factory, rows=len(bank), dims=bank.dims)
        index.tune(info.parameters)
        return index


def check_name(name: str) -> str:
    """Check and return a bundle's name, which must be a plain directory name.

    Raises:
        OptionError: It is empty, hidden, has a path or control characters in it, or is that of the pointer to
            the current bundle.
    """
    if not is_name(name) or name == CURRENT_FILE:
        raise OptionError(
            f"A bundle cannot be named {name!r}.",
            "Choose a plain --name, such as bottle; --models chooses the directory.",
        )
    return name


@contextmanager
def write_bundle(directory: Path) -> Iterator[Path]:
    """Yield an empty directory to fill and ``seal``; it becomes the bundle atomically when the block ends.

    Raises:
        BundleError: Something that is not a bundle has that name, or it cannot be written.
    """
    with _written(directory, lambda _: None) as staging:
        yield staging


@contextmanager
def _written(directory: Path, last: Callable[[Path], None]) -> Iterator[Path]:
    """Write a bundle; no other change can come between the ``last`` step and the replacement."""
    empty = directory.is_dir() and not any(directory.iterdir())
    if directory.exists() and not empty and not (directory / MANIFEST_FILE).is_file():
        raise BundleError(
            f"{directory} exists and is not a bundle; it was left as it is.",
            "Choose another --name or --models, or move it away.",
        )
    with ExitStack() as held, _explain_disk_errors(directory), replace_directory(directory) as staging:
        yield staging
        if directory.exists():
            held.enter_context(alone_with(directory))
        last(staging)


@contextmanager
def edit_bundle(bundle: BundleFiles[ProductManifest]) -> Iterator[Path]:
    """Yield a copy of a bundle to change and ``seal``; it replaces the bundle atomically when the block ends.

    Every file is checked while copying, so that a damaged file is never sealed. The files may be hard links:
    replace them, never write into them.
    """

    def last(staging: Path) -> None:
        for path in bundle.directory.rglob(ROW_USAGE_FILE):  # what an earlier version counted goes along
            if not path.is_symlink():
                link_or_copy(path, staging / path.relative_to(bundle.directory))
        if read_manifest_as(type(bundle.manifest), bundle.directory) != bundle.manifest:
            raise BundleError(
                f"The bundle {bundle.directory} was replaced while it was being changed.",
                "Nothing was written. Run the same command again, on the new one.",
            )

    with _written(bundle.directory, last) as staging:
        for name in bundle.manifest.files:
            link_or_copy(bundle.file(name), staging / name)
        yield staging


def seal(staging: Path, manifest: AnyManifest) -> AnyManifest:
    """Write the manifest with the digest and size of every file in the directory; return it."""
    for path in staging.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)  # some libraries write files only their owner may read
    files = {
        path.relative_to(staging).as_posix(): describe_file(path)
        for path in sorted(staging.rglob("*"))
        if path.is_file() and path != staging / MANIFEST_FILE
    }
    sealed = msgspec.structs.replace(manifest, files=files)
    replace_file(staging / MANIFEST_FILE, sealed.to_json())
    return sealed


def set_current(models: Path, name: str) -> None:
    """Make a bundle the current one, which commands use by default."""
    with _explain_disk_errors(models):
        replace_file(models / CURRENT_FILE, f"{name}\n".encode())


def current_name(models: Path) -> str | None:
    """Name of the current bundle, if there is one."""
    try:
        return (models / CURRENT_FILE).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def find_bundle(model: str | None = None, models: Path = DEFAULT_MODELS) -> Bundle:
    """Open a PatchCore bundle by directory, by name below ``models``, or the current one.

    Raises:
        BundleError: There is none (the message names the command that makes one), or it is another method's.
    """
    return Bundle.open(locate_bundle(model, models))


def locate_bundle(model: str | None = None, models: Path = DEFAULT_MODELS) -> Path:
    """Find a bundle's directory by path, by name below ``models``, or the current one.

    Raises:
        BundleError: There is none; the message names the command that makes one.
    """
    if model is None:
        name = current_name(models)
        if name is None:
            raise BundleError(
                f"There is no current bundle in {models}/.",
                "Make one with: pcedge fit DATASET, or name one with --model DIR",
            )
        if not is_name(name):
            raise BundleError(
                f"{models / CURRENT_FILE} must hold the plain name of a bundle; it says {name!r}.",
                f"Choose one with: pcedge models --use NAME --models {models}",
            )
        return models / name
    # The working directory may hold a dataset of the same name: accept only a bundle.
    for directory in (Path(model), models / model):
        if (directory / MANIFEST_FILE).is_file():
            return directory
    if Path(model).is_dir() and Path(model).parts[-1:] != (model,):
        return Path(model)  # opening it reports what is wrong with it
    raise BundleError(
        f"There is no bundle {model}, neither as a directory nor below {models}/.",
        f"Bundles there: {', '.join(bundle_names(models)) or 'none'}. Make one with: pcedge fit DATASET",
    )


def bundle_names(models: Path) -> list[str]:
    """Sorted names of the bundles below ``models``."""
    return sorted(path.parent.name for path in models.glob(f"[!.]*/{MANIFEST_FILE}"))


@contextmanager
def _explain_disk_errors(directory: Path) -> Iterator[None]:
    try:
        yield
    except PcedgeError:
        raise
    except OSError as error:
        raise BundleError(
            f"{directory} cannot be written: {error.strerror or error}.",
            "Nothing was changed. Check the permissions and the free space, or choose --models DIR.",
        ) from error
