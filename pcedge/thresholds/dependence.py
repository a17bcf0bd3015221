"""Good images that depend on one another: they show the same part, and count as one.

The proof of a false-reject rate rests on independent images. A copy of an image, a second one of a part that
lay still, or one that was made from it by augmentation says nothing new, and one that is in the bank makes
the other score too low. They are found by what they look like (``pcedge.datasets.likeness``) and by their
features: where all patches of an image are far nearer to those of one other image than those of different
parts are.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pcedge.datasets import alike, far_nearer, nearest_others

# Set on MVTec bottle, magnetic tiles and rendered parts: see docs/concepts/thresholds.md.
_NEARER = 0.35
_CANDIDATES, _FEWEST, _QUERIES = 9, 12, 49
_BLOCK = 1024


def dependent(
    spectra: NDArray[np.float32], patches: NDArray[np.float32] | None = None
) -> tuple[tuple[int, ...], ...]:
    """Groups of two or more images that depend on one another, in order of their first images.

    Args:
        spectra: float32 [images, 255], from ``pcedge.datasets.spectrum``.
        patches: float32 [images, patches, dims], their embeddings or a projection of them; None to compare
            images without.
    """
    groups = joined(len(spectra), alike(spectra))
    if patches is None:
        return tuple(group for group in groups if len(group) > 1)
    first = np.array([group[0] for group in groups], np.int64)
    near = [(int(first[one]), int(first[other])) for one, other in near_in_features(patches, first)]
    return tuple(
        group
        for group in joined(len(spectra), [*near, *((group[0], one) for group in groups for one in group)])
        if len(group) > 1
    )


def with_dependent(groups: Sequence[str], found: Iterable[Sequence[int]]) -> tuple[str, ...]:
    """The group of each image, those joined that have images which depend on one another.

    Args:
        groups: The group of each image.
        found: Images that depend on one another, from :func:`dependent`.
    """
    first = {group: image for image, group in reversed(list(enumerate(groups)))}
    links = [(first[group], image) for image, group in enumerate(groups)]
    links += [(images[0], image) for images in found for image in images]
    name = {image: groups[members[0]] for members in joined(len(groups), links) for image in members}
    return tuple(name[image] for image in range(len(groups)))


def joined(count: int, links: Iterable[tuple[int, int]]) -> list[tuple[int, ...]]:
    """The sets of things that links join, each in order, in order of their first."""
    head = list(range(count))

    def find(one: int) -> int:
        while head[one] != one:
            head[one] = head[head[one]]
            one = head[one]
        return one

    for one, other in links:
        low, high = sorted((find(one), find(other)))
        head[high] = low
    sets: dict[int, list[int]] = {}
    for one in range(count):
        sets.setdefault(find(one), []).append(one)
    return [tuple(members) for members in sets.values()]


def near_in_features(patches: NDArray[np.float32], images: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Pairs, by their place in ``images``: all patches of one are in the other, far nearer than usual.

    Args:
        patches: float32 [images, patches, dims].
        images: Which images are compared.
    """
    if len(images) < _FEWEST:
        return []
    _, candidates = nearest_others(_descriptor_distances(patches, images), min(_CANDIDATES, len(images) - 1))
    squares = np.square(patches).sum(axis=2)
    distances = np.stack(
        [
            _patch_distances(images[one], images[others], patches, squares)
            for one, others in enumerate(candidates)
        ]
    )
    order = np.argsort(distances, axis=1, kind="stable")
    rising = np.take_along_axis(distances, order, axis=1)
    return far_nearer(rising, np.take_along_axis(candidates, order, axis=1), _NEARER)


def _descriptor_distances(
    patches: NDArray[np.float32], images: NDArray[np.int64]
) -> Iterator[NDArray[np.float32]]:
    """Blocks of the matrix of distances between means and spreads of patches: which images may be near."""
    described = np.stack(
        [np.concatenate([patches[image].mean(axis=0), patches[image].std(axis=0)]) for image in images]
    )
    scaled = (described - described.mean(axis=0)) / np.maximum(described.std(axis=0), 1e-12)
    squares = np.square(scaled).sum(axis=1)
    for start in range(0, len(scaled), _BLOCK):
        block = (
            squares[start : start + _BLOCK, np.newaxis]
            + squares
            - 2 * scaled[start : start + _BLOCK] @ scaled.T
        )
        rows = np.arange(len(block))
        block[rows, start + rows] = np.inf
        yield block


def _patch_distances(
    one: int, others: NDArray[np.int64], patches: NDArray[np.float32], squares: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The mean distance of some of an image's patches to the nearest patch of each other image."""
    some = slice(None, None, max(1, patches.shape[1] // _QUERIES))
    rows = patches[one, some]
    products = rows @ patches[others].reshape(-1, patches.shape[2]).T
    squared = squares[one, some, np.newaxis, np.newaxis] + squares[others]
    squared -= 2 * products.reshape(len(rows), len(others), -1)
    return np.asarray(np.sqrt(np.maximum(squared.min(axis=2), 0)).mean(axis=0), np.float32)
