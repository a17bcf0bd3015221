"""Pictures of the training images that bank rows came from: what an explanation shows beside an anomaly.

A device does not have the training images, so a bundle keeps them in one file, as the network sees them: an
ordinary uncompressed zip of JPEGs, each called after its image, which any archive program opens.
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
# What a zip needs for an entry besides its content and, twice, its name: two headers and the list's end.
_HEADER_BYTES, _END_BYTES = 30, 22
_ENTRY_BYTES = _HEADER_BYTES + 46


def keep_pictures(
    staging: Path,
    sources: RowSources,
    paths: Mapping[str, Path],
    preprocessing: Preprocessing,
    limit_mb: float,
) -> None:
    """Write the file of a new bundle: images of the images that bank rows came from, most rows first.

    One that is there already, as where precisions share it, stays.

    Args:
        staging: Directory of the bundle.
        sources: Where the rows came from.
        paths: Images by the names used there. Those that are gone are left out.
        preprocessing: What the network sees of them.
        limit_mb: The file's size at most; 0 for no file.
    """
    if limit_mb == 0 or (staging / NOMINAL_FILE).exists():
        return
    rows = np.bincount(sources.image, minlength=len(sources.images))
    names = [sources.images[image] for image in np.argsort(-rows, kind="stable") if rows[image]]
    seen = _see({name: paths[name] for name in names}, preprocessing)
    write_nominal(staging / NOMINAL_FILE, seen, int(limit_mb * _MEGA))


def write_nominal(path: Path, pictures: Iterable[tuple[str, NDArray[np.uint8]]], limit_bytes: int) -> int:
    """Write the file, replacing one that is there; a hard link's other end stays as it was.

    Args:
        path: Where to.
        images: Images' names, as bank rows name them, and images, uint8 [s, s, 3]. The most important
            first: they are taken, one by one, until the next would not fit.
        limit_bytes: The file's size at most. Where not even the first fits there is no file.

    Returns:
        How many images were kept.
    """
    return _write(path, ((name, _encode(picture)) for name, picture in pictures), limit_bytes)


def add_nominal(
    path: Path,
    pictures: Iterable[tuple[str, NDArray[np.uint8]]],
    limit_bytes: int,
    *,
    drop: Iterable[str] = (),
) -> int:
    """Write the file anew with further images in front of those that it holds.

    New images replace those of the same name; what no longer fits goes, from the end.

    Args:
        path: The file; it need not be there.
        images: As for ``write_nominal``.
        limit_bytes: As for ``write_nominal``.
        drop: Images whose images are not to stay.

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
    """The images of a bundle's file, which stays mapped: the bundle may be replaced while they are in use.

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
        """The images there are images of, the most important first."""
        return tuple(self._entries)

    def jpeg(self, name: str) -> bytes | None:
        """An image's image as it is stored; None if there is none."""
        entry = self._entries.get(name)
        if entry is None:
            return None
        # Entries are stored as they are, behind a header that ends with the sizes of what still follows it.
        start = entry.header_offset + _HEADER_BYTES
        start += sum(unpack("<HH", self._content[start - 4 : start]))
        return self._content[start : start + entry.file_size]

    def read(self, name: str) -> NDArray[np.uint8] | None:
        """An image's image, uint8 [s, s, 3]; None if there is none.

        Raises:
            BundleError: It is damaged.
        """
        from PIL import Image

        content = self.jpeg(name)
        if content is None:
            return None
        try:
            return np.asarray(Image.open(BytesIO(content)).convert("RGB"), np.uint8)
        except OSError as error:  # Pillow's own is one
            raise _damaged(self._path, error) from error


def _see(paths: Mapping[str, Path], preprocessing: Preprocessing) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Pictures as the network sees them, read a few ahead."""

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
            # A fixed date: the same images make the same file.
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
