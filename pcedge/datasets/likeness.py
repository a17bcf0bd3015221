"""Pictures of the very same thing: a perceptual signature that knows what all parts of a product share.

Two good parts under one camera look alike, and a hash made for photographs calls them copies. As in the
well-known DCT hash, an image is described by its low frequencies; but each is counted from its median over
all images at hand, in units of its spread over them. What all parts share says nothing then. And how near
is too near is learned from the training images: a copy is far nearer than parts of this product come to
each other.
"""

import numpy as np
from numpy.typing import NDArray

_SIDE, _FREQUENCIES = 64, 16
_OUTLYING = 5.0
# Set on MVTec bottle, magnetic tiles and rendered parts; docs/guide/datasets.md says what they find there.
SAME_PICTURE = 0.04
SHARE_OF_USUAL = 1 / 8


def spectrum(image_rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The low frequencies of an image (uint8 [height, width, 3]), without its mean, as float32 [255]."""
    import cv2
    from PIL import Image

    grey = Image.fromarray(image_rgb).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    frequencies = cv2.dct(np.asarray(grey, np.float32))[:_FREQUENCIES, :_FREQUENCIES]
    return np.asarray(frequencies.ravel()[1:], np.float32)


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
    signatures = _signatures(np.concatenate([train, test]))
    own, others = signatures[: len(train)], signatures[len(train) :]
    apart = 1 - own @ others.T
    rows = apart.argmin(axis=0)
    limit = min(SAME_PICTURE, SHARE_OF_USUAL * _usual_distance(own))
    return rows, apart[rows, np.arange(len(test))], limit


def _signatures(spectra: NDArray[np.float32]) -> NDArray[np.float32]:
    from_middle = spectra - np.median(spectra, axis=0)
    spread = np.median(np.abs(from_middle), axis=0)
    # Where more than half of the images agree there is no spread, and any difference is a large one.
    scaled = np.clip(from_middle / np.maximum(spread, 1e-3), -_OUTLYING, _OUTLYING)
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    return np.asarray(scaled / np.maximum(lengths, 1e-6), np.float32)


def _usual_distance(signatures: NDArray[np.float32]) -> float:
    """The median over images of the distance to the nearest other one; infinite for fewer than three."""
    if len(signatures) < 3:
        return np.inf
    apart = 1 - signatures @ signatures.T
    np.fill_diagonal(apart, np.inf)
    return float(np.median(apart.min(axis=0)))
