"""Patch embeddings of image files, decoded ahead of the network in other threads."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import usable_cores
from pcedge.core.preprocessing import Preprocessing
from pcedge.core.progress import Progress, silent
from pcedge.datasets import read_content, spectrum
from pcedge.errors import ImageError
from pcedge.export import Runtime

from .feature_cache import FeatureCache, content_digest

BATCH = 8
_READ_AHEAD = 3 * BATCH
SPECTRUM = 255


@dataclass(frozen=True, eq=False)
class Features:
    """Patch embeddings of usable images, and the reasons why others were skipped.

    Attributes:
        paths: The images, in order.
        embeddings: float32 [images, patches, dims].
        skipped: Path to reason.
        cached: Number of images found in the cache.
        spectra: float32 [images, 255], what they look like: see ``pcedge.datasets.likeness``; empty if that
            was not asked for.
    """

    paths: tuple[Path, ...]
    embeddings: NDArray[np.float32]
    skipped: dict[Path, str]
    cached: int = 0
    spectra: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, SPECTRUM), np.float32))


@dataclass(frozen=True, eq=False)
class _Known:
    """An image whose embeddings were found in the cache."""

    embeddings: NDArray[np.float32]
    spectrum: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class _DecodedImage:
    """An image to embed: the network's input, and the file's digest if there is a cache."""

    pixels: NDArray[np.float32]
    digest: str = ""
    spectrum: NDArray[np.float32] | None = None


class _ImageBatch:
    """A batch of images for the network; embeddings go to their rows and to the cache."""

    def __init__(
        self,
        runtime: Runtime,
        embeddings: NDArray[np.float32],
        cache: FeatureCache | None,
        pool: ThreadPoolExecutor,
    ) -> None:
        self._runtime = runtime
        self._embeddings = embeddings
        self._cache = cache
        self._pool = pool
        self._waiting: list[tuple[int, _DecodedImage]] = []
        self._storing: list[Future[None]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, row: int, picture: _DecodedImage) -> None:
        self._waiting.append((row, picture))
        if len(self) == BATCH:
            self.run()

    def run(self) -> None:
        """Embed the waiting images, always as a full batch.

        Another batch size may change the last bits of an image's embedding (observed with a batch of one).
        The position in the batch and the other images do not matter.
        """
        if not self._waiting:
            return
        pixels = [picture.pixels for _, picture in self._waiting]
        pixels += [pixels[-1]] * (BATCH - len(pixels))
        for (row, _), embeddings in zip(self._waiting, self._runtime.infer(np.stack(pixels)), strict=False):
            self._embeddings[row] = embeddings
        self._store()
        self._waiting.clear()

    def finish(self) -> None:
        """Wait for pending cache writes: a slow disk slows the network instead of filling the memory."""
        for stored in self._storing:
            stored.result()
        self._storing.clear()

    def _store(self) -> None:
        self.finish()
        if self._cache is None:
            return
        for row, picture in self._waiting:
            if picture.digest:
                stored = self._pool.submit(self._cache.store, picture.digest, self._embeddings[row])
                self._storing.append(stored)


def embed_images(
    paths: Sequence[Path],
    runtime: Runtime,
    preprocessing: Preprocessing,
    shape: tuple[int, int],
    *,
    progress: Progress = silent,
    cache: FeatureCache | None = None,
    looks: FeatureCache | None = None,
) -> Features:
    """Embed images in batches.

    The result is bit-identical with and without the cache.

    Args:
        paths: Image files.
        runtime: Runs the embedder.
        preprocessing: How an image becomes the network's input.
        shape: Patches an image and values a patch.
        progress: Progress callback, called with the number of images done, stage ``embed``.
        cache: Cache to look up and store embeddings. With it, an image that changes while it is read is
            detected and skipped.
        looks: Cache of what images look like, which is then described too; switched off, it is described all
            the same.
    """
    embeddings = np.empty((len(paths), *shape), np.float32)
    spectra: list[NDArray[np.float32]] = []
    used: list[Path] = []
    skipped: dict[Path, str] = {}
    cached = 0
    with ThreadPoolExecutor(max_workers=usable_cores()) as pool:
        batch = _ImageBatch(runtime, embeddings, cache, pool)
        for done, (path, loaded) in enumerate(_load_ahead(pool, paths, preprocessing, cache, looks), 1):
            match loaded:
                case ImageError():
                    skipped[path] = loaded.what
                case _Known():
                    embeddings[len(used)] = loaded.embeddings
                    used.append(path)
                    cached += 1
                case _DecodedImage():
                    batch.add(len(used), loaded)
                    used.append(path)
            if not isinstance(loaded, ImageError) and loaded.spectrum is not None:
                spectra.append(loaded.spectrum)
            if done == len(paths):
                batch.run()
            progress("embed", done - len(batch), len(paths))
        batch.finish()
    found = Features(tuple(used), embeddings[: len(used)], skipped, cached)
    return replace(found, spectra=np.stack(spectra)) if spectra else found


def unusable(paths: Sequence[Path]) -> dict[Path, str]:
    """The images that would be skipped, and why; reads all images."""
    with ThreadPoolExecutor(max_workers=usable_cores()) as pool:
        problems = dict(zip(paths, pool.map(_problem, paths), strict=True))
    return {path: problem for path, problem in problems.items() if problem}


def _problem(path: Path) -> str:
    try:
        read_content(path)
    except ImageError as error:
        return error.what
    return ""


def _load_ahead(
    pool: ThreadPoolExecutor,
    paths: Sequence[Path],
    preprocessing: Preprocessing,
    cache: FeatureCache | None,
    looks: FeatureCache | None,
) -> Iterator[tuple[Path, _Known | _DecodedImage | ImageError]]:
    """Load each image or its cached embeddings ahead, in order."""
    load = partial(_load, preprocessing=preprocessing, cache=cache, looks=looks)
    remaining = iter(paths)
    waiting = deque((path, pool.submit(load, path)) for path in islice(remaining, _READ_AHEAD))
    while waiting:
        path, future = waiting.popleft()
        waiting.extend((later, pool.submit(load, later)) for later in islice(remaining, 1))
        yield path, future.result()


def _load(
    path: Path, preprocessing: Preprocessing, cache: FeatureCache | None, looks: FeatureCache | None
) -> _Known | _DecodedImage | ImageError:
    try:
        if cache is None or not cache.active:
            image = read_content(path)
            return _DecodedImage(preprocessing.apply(image), "", None if looks is None else spectrum(image))
        return _look_up(path, preprocessing, cache, looks)
    except ImageError as error:
        return error


def _look_up(
    path: Path, preprocessing: Preprocessing, cache: FeatureCache, looks: FeatureCache | None
) -> _Known | _DecodedImage:
    """Read an image unless the cache knows it.

    Raises:
        ImageError: It cannot be read, is blank, or changed while it was read, so that the digest would be
            another image's.
    """
    digest = _digest(path)
    if (embeddings := cache.load(digest)) is not None:
        return _Known(embeddings, None if looks is None else _look_of(path, digest, looks))
    image = read_content(path)
    look = None if looks is None else _described(image, digest, looks)
    picture = _DecodedImage(preprocessing.apply(image), digest, look)
    if _digest(path) != digest:
        raise ImageError(f"{path}: changed while it was read.")
    return picture


def _look_of(path: Path, digest: str, looks: FeatureCache) -> NDArray[np.float32]:
    known = looks.load(digest)
    return _described(read_content(path), digest, looks) if known is None else known[0]


def _described(image_rgb: NDArray[np.uint8], digest: str, looks: FeatureCache) -> NDArray[np.float32]:
    look = spectrum(image_rgb)
    looks.store(digest, look[np.newaxis])
    return look


def spectra_of(paths: Sequence[Path]) -> tuple[tuple[Path, ...], NDArray[np.float32]]:
    """What images look like, float32 [images, 255], and which of them can be read; reads all images."""
    with ThreadPoolExecutor(max_workers=usable_cores()) as pool:
        found = {
            path: look for path, look in zip(paths, pool.map(_look, paths), strict=True) if look is not None
        }
    return tuple(found), np.stack(list(found.values())) if found else np.zeros((0, SPECTRUM), np.float32)


def _look(path: Path) -> NDArray[np.float32] | None:
    try:
        return spectrum(read_content(path))
    except ImageError:
        return None


def _digest(path: Path) -> str:
    try:
        return content_digest(path)
    except FileNotFoundError as error:
        raise ImageError(f"{path}: does not exist.") from error
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror or error}.") from error
