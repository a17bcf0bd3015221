"""Images of the very same thing: copies, saved anew, turned, mirrored, or taken of a part that lay still.

Two good parts under one camera look alike, and a hash made for photographs calls them copies. As in the
well-known DCT hash, an image is described by its low frequencies; but each is counted from its median over
all images at hand, in units of its spread over them. What all parts share says nothing then. Mirroring and
quarter turns change only signs and places of frequencies, so all eight positions are compared at once.

How near is too near is learned from the images themselves: a copy is far nearer to its original than the
image that comes next, which shows another part.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_SIDE, _FREQUENCIES = 64, 16
_OUTLYING = 5.0
# Set on MVTec bottle, magnetic tiles and rendered parts; docs/guide/datasets.md says what they find there.
SAME_PICTURE = 0.04
SHARE_OF_USUAL = 0.03
# At most so many images are copies of one; more that look alike are a kind of part.
_MOST_COPIES, _SHARE_OF_COPIES = 8, 0.25
_BLOCK = 1024


def spectrum(image_rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The low frequencies of an image (uint8 [height, width, 3]), without its mean, as float32 [255]."""
    import cv2
    from PIL import Image

    grey = Image.fromarray(image_rgb).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    frequencies = cv2.dct(np.asarray(grey, np.float32))[:_FREQUENCIES, :_FREQUENCIES]
    return np.asarray(frequencies.ravel()[1:], np.float32)


def alike(spectra: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Pairs of images that show the very same, however they were turned or saved.

    Args:
        spectra: float32 [n, 255], from :func:`spectrum`.
    """
    if len(spectra) < 3:
        return _equal(spectra)
    copies = max(_MOST_COPIES, int(_SHARE_OF_COPIES * len(spectra)))
    distances, neighbours = nearest_others(_turned_distances(spectra), min(copies + 1, len(spectra) - 1))
    return far_nearer(distances, neighbours, SHARE_OF_USUAL, SAME_PICTURE)


def far_nearer(
    distances: NDArray[np.float32], neighbours: NDArray[np.int64], share: float, limit: float = np.inf
) -> list[tuple[int, int]]:
    """Pairs of images that are far nearer to each other than images of different parts are.

    Args:
        distances: float32 [n, k], of each image to its nearest others, rising.
        neighbours: int64 [n, k], which these are.
        share: How near a copy is at most, as a share of the usual distance.
        limit: How near it is at most in any case.
    """
    near = distances <= min(limit, share * usual_distance(distances, share))
    return [(int(image), int(neighbours[image, place])) for image, place in np.argwhere(near)]


def usual_distance(distances: NDArray[np.float32], share: float) -> float:
    """The usual distance of an image to one of another part, whatever copies there are.

    Up to ``_MOST_COPIES`` neighbours may be copies; where there are more, a step shows where they end.

    Args:
        distances: float32 [n, k], of each image to its nearest others, rising.
        share: How near a copy is at most, as a share of the distance looked for.
    """
    steps = distances[:, :-1] <= share * distances[:, 1:]
    last = np.where(steps.any(axis=1), steps.shape[1] - steps[:, ::-1].argmax(axis=1), 0)
    last = np.maximum(last, min(_MOST_COPIES, distances.shape[1] - 1))
    return float(np.median(distances[np.arange(len(distances)), last]))


def nearest_others(
    rows: Iterator[NDArray[np.float32]], count: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The nearest others of each image, float32 [n, count] rising, and which they are, int64 [n, count].

    Args:
        rows: Blocks of rows of the matrix of distances, infinite from an image to itself.
        count: How many.
    """
    found = []
    for block in rows:
        chosen = np.argpartition(block, count - 1, axis=1)[:, :count]
        apart = np.take_along_axis(block, chosen, axis=1)
        order = np.argsort(apart, axis=1, kind="stable")
        found.append((np.take_along_axis(apart, order, axis=1), np.take_along_axis(chosen, order, axis=1)))
    return np.concatenate([apart for apart, _ in found]), np.concatenate([which for _, which in found])


def nearest(
    train: NDArray[np.float32], test: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32], float]:
    """The training image nearest to each test image, and how near is too near.

    Args:
        train: Spectra, float32 [n, 255], n at least 1.
        test: Spectra, float32 [m, 255].

    Returns:
        For each test image the number of the nearest training image and its distance, from 0 (the same)
        to 2; and the distance up to which two images count as the same.
    """
    signatures, turned = _signatures(np.concatenate([train, test]))
    own = signatures[: len(train)]
    apart = np.min([1 - own @ one[len(train) :].T for one in turned], axis=0)
    rows = apart.argmin(axis=0)
    return rows, apart[rows, np.arange(len(test))], _limit(own, [one[: len(train)] for one in turned])


def _limit(own: NDArray[np.float32], turned: list[NDArray[np.float32]]) -> float:
    """The distance up to which two images count as the same, by the training images."""
    if len(own) < 3:
        return SAME_PICTURE
    count = min(max(_MOST_COPIES, int(_SHARE_OF_COPIES * len(own))) + 1, len(own) - 1)
    distances, _ = nearest_others(_apart(own, turned), count)
    return min(SAME_PICTURE, SHARE_OF_USUAL * usual_distance(distances, SHARE_OF_USUAL))


def _equal(spectra: NDArray[np.float32]) -> list[tuple[int, int]]:
    if len(spectra) == 2 and np.array_equal(spectra[0], spectra[1]):
        return [(0, 1)]
    return []


def _turned_distances(spectra: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    return _apart(*_signatures(spectra))


def _apart(own: NDArray[np.float32], turned: list[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """Blocks of the matrix of distances, from 0 (the same) to 2, in the best position of each pair."""
    for start in range(0, len(own), _BLOCK):
        block = np.min([1 - own[start : start + _BLOCK] @ one.T for one in turned], axis=0)
        rows = np.arange(len(block))
        block[rows, start + rows] = np.inf
        yield np.maximum(block, 0)


def _signatures(spectra: NDArray[np.float32]) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
    """Signatures of images, float32 [n, 255], and of the same images in each of eight positions."""
    turned = list(_positions(_of_one_contrast(spectra)))
    together = np.concatenate(turned)
    middle = np.median(together, axis=0)
    spread = np.median(np.abs(together - middle), axis=0)

    def signature(one: NDArray[np.float32]) -> NDArray[np.float32]:
        # Where more than half of the images agree there is no spread, and any difference is a large one.
        scaled = np.clip((one - middle) / np.maximum(spread, 1e-3), -_OUTLYING, _OUTLYING)
        lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
        return np.asarray(scaled / np.maximum(lengths, 1e-6), np.float32)

    signatures = [signature(one) for one in turned]
    return signatures[0], signatures


def _of_one_contrast(spectra: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same images under one light: brighter ones have all frequencies stronger."""
    strength = np.linalg.norm(spectra, axis=1, keepdims=True)
    return np.asarray(spectra * (np.median(strength) / np.maximum(strength, 1e-6)), np.float32)


def _positions(spectra: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """The spectra of the images as they are, mirrored and turned by quarters: eight in all, these first."""
    mean = np.zeros((len(spectra), 1), np.float32)
    square = np.concatenate([mean, spectra], axis=1).reshape(-1, _FREQUENCIES, _FREQUENCIES)
    signs = np.where(np.arange(_FREQUENCIES) % 2, np.float32(-1), np.float32(1))
    for positioned in (square, square.transpose(0, 2, 1)):
        for upright in (np.float32(1), signs[:, np.newaxis]):
            for sideways in (np.float32(1), signs):
                yield (positioned * upright * sideways).reshape(len(spectra), -1)[:, 1:]
