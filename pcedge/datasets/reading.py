"""Reading what a dataset points to, and refusing what cannot be learned from or measured on."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcedge.camera import read_image, read_raw_mask, without_content
from pcedge.errors import ImageError

from .dataset import Dataset, Sample
from .masks import MaskReading


def read_content(path: Path) -> NDArray[np.uint8]:
    """Read an image to learn from or to measure on, as uint8 [height, width, 3].

    Raises:
        ImageError: It cannot be read, or shows nothing: watch would not judge it either.
    """
    image = read_image(path)
    if reason := without_content(image):
        raise ImageError(f"{path}: shows nothing to judge: {reason}.")
    return image


def read_ground_truth(
    dataset: Dataset, sample: Sample, shape_hw: tuple[int, ...]
) -> NDArray[np.uint8] | None:
    """What is defect in a test image, as uint8 [height, width]: 255 for defect, 0 for none.

    Nothing in a good image; what any of its masks marks in a defective one; None where that has no mask.

    Args:
        dataset: Which the sample is of; it says what a mask's values mean.
        sample: The test image.
        shape_hw: Its height and width; what follows is not looked at.

    Raises:
        ImageError: A mask cannot be read, has another size than the image, or they mark nothing at all.
    """
    truth = np.zeros(shape_hw[:2], np.uint8)
    if not sample.is_defect:
        return truth
    if not sample.masks:
        return None
    for path in sample.masks:
        np.maximum(truth, _read_mask(path, sample, shape_hw[:2], dataset.masks), out=truth)
    if not truth.any():
        raise ImageError(f"{sample.masks[0]}: marks nothing, though {sample.path.name} shows a defect.")
    return truth


def _read_mask(
    path: Path, sample: Sample, shape_hw: tuple[int, ...], reading: MaskReading
) -> NDArray[np.uint8]:
    height, width = shape_hw
    mask = reading.apply(read_raw_mask(path), sample.path, (height, width))
    if mask.shape != shape_hw:
        raise ImageError(
            f"{path} is {mask.shape[1]}x{mask.shape[0]}, but its image {sample.path.name} is "
            f"{width}x{height}."
        )
    return mask
