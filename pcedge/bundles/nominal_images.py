"""Training images kept in the bundle, shown in explanations beside an anomaly.

A device does not have the training images, so a bundle keeps those that bank rows came from, as the network
sees them, in one uncompressed zip file of JPEGs, each named after its image.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from itertools import chain
from mmap import ACCESS_READ, mmap
from pathlib import Path
from struct import unpack
from zipfile import BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import RowSources, usable_cores
from pcedge.camera import read_image
from pcedge.core.files import replace_file
from pcedge.core.preprocessing import Preprocessing
from pcedge.errors import BundleError, ImageError

NOMINAL_FILE = "nominal.zip"
_MEGA = 10**6
_QUALITY = 90
_READ_AHEAD = 16
_SUFFIX = ".jpg"
_MOST_PX = 8192  # no network sees more
# Bytes of a zip file besides each entry's content and, twice, its name: two headers an entry, and the end.
_HEADER_BYTES, _END_BYTES = 30, 22
_ENTRY_BYTES = _HEADER_BYTES + 46


def keep_pictures(
    staging: Path,
    sources: RowSources,
    paths: Mapping[str, Path],
    preprocessing: Preprocessing,
    limit_mb: float,
) -> None:
    """Write the file of a new bundle: the images that bank rows came from, those with most rows first.

    An existing file stays, as when precisions share it.

    Args:
        staging: Directory of the bundle.
        sources: Source images of the rows.
        paths: Image files by the names in ``sources``. Missing files are left out.
        preprocessing: Defines what the network sees of them.
        limit_mb: Maximum size of the file; 0 for no file.
    """
    if limit_mb == 0 or (staging / NOMINAL_FILE).exists():
        return
    rows = np.bincount(sources.image, minlength=len(sources.images))
    names = [sources.images[image] for image in np.argsort(-rows, kind="stable") if rows[image]]
    seen = _see({name: paths[name] for name in names}, preprocessing)
    write_nominal(staging / NOMINAL_FILE, seen, int(limit_mb * _MEGA))


def write_nominal(path: Path, pictures: Iterable[tuple[str, NDArray[np.uint8]]], limit_bytes: int) -> int:
    """Write the file, replacing an existing one; hard links to the old file keep its content.

    Args:
        path: The file.
        images: Names, as in the bank's sources, and images, uint8 [s, s, 3], the most important first. They
            are added in order until the next would not fit.
        limit_bytes: Maximum size of the file. If not even the first image fits, no file is written.

    Returns:
        Number of images written.
    """
    return _write(path, ((name, _encode(picture)) for name, picture in pictures), limit_bytes)


def add_nominal(
    path: Path,
    pictures: Iterable[tuple[str, NDArray[np.uint8]]],
    limit_bytes: int,
    *,
    drop: Iterable[str] = (),
) -> int:
    """Rewrite the file with more images in front of those it holds.

    New images replace those of the same name; images at the end that no longer fit are dropped.

    Args:
        path: The file; it may be missing.
        images: See ``write_nominal``.
        limit_bytes: See ``write_nominal``.
        drop: Names of images to remove.

    Raises:
        BundleError: The file is damaged.
    """
    first = {name: _encode(picture) for name, picture in pictures}
    unwanted = {*drop, *first}
    held = KeptPictures(path) if path.is_file() else None
    kept = [name for name in held.names if name not in unwanted] if held else []
    rest = ((name, held.jpeg(name) or b"") for name in kept) if held else ()
    return _write(path, chain(first.items(), rest), limit_bytes)


class KeptPictures:
    """Reads images from a bundle's file. The file stays mapped, so the bundle may be replaced meanwhile.

    Args:
        path: The file.

    Raises:
        BundleError: It is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with path.open("rb") as file, ZipFile(file) as archive:
                self._entries = {entry.filename.removesuffix(_SUFFIX): entry for entry in archive.infolist()}
                self._content = mmap(file.fileno(), 0, access=ACCESS_READ)
        except (OSError, BadZipFile, ValueError) as error:
            raise _damaged(path, error) from error

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the images, the most important first."""
        return tuple(self._entries)

    def jpeg(self, name: str) -> bytes | None:
        """An image as stored JPEG bytes; None if it is not in the file."""
        entry = self._entries.get(name)
        if entry is None:
            return None
        # Entries are stored uncompressed, after a header that ends with the sizes of the variable fields.
        start = entry.header_offset + _HEADER_BYTES
        start += sum(unpack("<HH", self._content[start - 4 : start]))
        return self._content[start : start + entry.file_size]

    def read(self, name: str) -> NDArray[np.uint8] | None:
        """An image, uint8 [s, s, 3]; None if it is not in the file.

        Raises:
            BundleError: It is damaged.
        """
        from PIL import Image

        content = self.jpeg(name)
        if content is None:
            return None
        try:
            image = Image.open(BytesIO(content), formats=["JPEG"])
            if max(image.size) > _MOST_PX:
                raise OSError(f"{name} is {image.width} x {image.height}")
            return np.asarray(image.convert("RGB"), np.uint8)
        except (OSError, Image.DecompressionBombError) as error:  # OSError: also what is no image
            raise _damaged(self._path, error) from error


def _see(paths: Mapping[str, Path], preprocessing: Preprocessing) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Images as the network sees them, decoded a few ahead."""

    def see(name: str) -> NDArray[np.uint8] | None:
        try:
            return preprocessing.seen(read_image(paths[name]))
        except ImageError:
            return None

    names: Sequence[str] = tuple(paths)
    with ThreadPoolExecutor(max_workers=usable_cores()) as pool:
        for start in range(0, len(names), _READ_AHEAD):
            part = names[start : start + _READ_AHEAD]
            for name, picture in zip(part, pool.map(see, part), strict=True):
                if picture is not None:
                    yield name, picture


def _write(path: Path, jpegs: Iterable[tuple[str, bytes]], limit_bytes: int) -> int:
    content = BytesIO()
    used, kept = _END_BYTES, 0
    with ZipFile(content, "w") as archive:
        for name, jpeg in jpegs:
            entry = name + _SUFFIX
            used += len(jpeg) + 2 * len(entry.encode()) + _ENTRY_BYTES
            if used > limit_bytes:
                break
            # A fixed date, so that the same images give the same file.
            archive.writestr(ZipInfo(entry), jpeg)
            kept += 1
    if kept:
        replace_file(path, content.getvalue())
    else:
        path.unlink(missing_ok=True)
    return kept


def _encode(picture_rgb: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    content = BytesIO()
    Image.fromarray(picture_rgb).save(content, "JPEG", quality=_QUALITY)
    return content.getvalue()


def _damaged(path: Path, error: Exception) -> BundleError:
    return BundleError(f"{path} cannot be read ({error}).", "Restore the file, or fit the bundle again.")
