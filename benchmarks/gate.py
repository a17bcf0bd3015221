"""What the frame gate turns away: real images, good and defective, and real images made unfit.

``python -m benchmarks.gate DATASET ...`` with datasets in MVTec layout. Prints a line for every kind of test
image, of which none should be turned away, and for every way of spoiling a good one, of which all should.
"""

import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pcedge.bundles.gate_files import sample
from pcedge.camera import FrameGate, learn_limits, list_images, read_image
from pcedge.datasets import open_dataset, training_images

Image = NDArray[np.uint8]


def _blurred(image: Image, _other: Image) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), max(image.shape[:2]) / 60), np.uint8)


def _torn(image: Image, other: Image) -> Image:
    """The lower part is that of another image, a tenth of its width late."""
    height, width = image.shape[:2]
    late = np.roll(cv2.resize(other, (width, height)), width // 10, axis=1)
    return np.concatenate([image[: height // 2], late[height // 2 :]]).astype(np.uint8)


def _cut_off(image: Image, _other: Image) -> Image:
    """The lower third was never received."""
    cut = image.copy()
    cut[2 * len(image) // 3 :] = 128
    return cut


def _moved(image: Image, _other: Image) -> Image:
    height, width = image.shape[:2]
    shift = np.array([[1.0, 0.0, 0.12 * width], [0.0, 1.0, 0.08 * height]])
    moved = cv2.warpAffine(image, shift, (width, height), borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, np.uint8)


def _dark(image: Image, _other: Image) -> Image:
    return (image * 0.25).astype(np.uint8)


def _saturated(image: Image, _other: Image) -> Image:
    return np.clip(image.astype(np.int16) * 4, 0, 255).astype(np.uint8)


SPOILED: dict[str, Callable[[Image, Image], Image]] = {
    "blurred": _blurred,
    "torn": _torn,
    "cut off": _cut_off,
    "moved": _moved,
    "dark": _dark,
    "saturated": _saturated,
}


def measure(dataset_path: Path) -> None:
    """Print the shares that are turned away."""
    dataset = open_dataset(dataset_path)
    began = time.perf_counter()
    limits, _ = learn_limits(map(read_image, sample(training_images(dataset, at_least=4))))
    steady = "steady" if limits.reference_hw is not None else "not steady: the camera's place is not checked"
    print(f"{dataset.title}: learned in {time.perf_counter() - began:.1f} s; {steady}")
    gate = FrameGate(limits, frozen_after=0)
    for folder in sorted((dataset_path / "test").iterdir()):
        images = [read_image(path) for path in list_images(folder)]
        _report(folder.name, [gate.check(image) for image in images])
        if folder.name == "good":
            for name, spoil in SPOILED.items():
                _report(f"good, {name}", [gate.check(spoil(*pair)) for pair in pairwise(images)])
    began = time.perf_counter()
    for image in images:
        gate.check(image)
    print(f"  {1000 * (time.perf_counter() - began) / len(images):.1f} ms a picture")


def _report(name: str, reasons: list[str]) -> None:
    away = [reason for reason in reasons if reason]
    print(f"  {name:20} {len(away):3} of {len(reasons):3} turned away   {away[0] if away else ''}")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        measure(Path(argument))
