"""What settings are compared by: good images that the bank did not see, beside ones with a defect."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from pcedge.camera import write_image
from pcedge.datasets import GOOD, Dataset, Sample, read_content, training_images
from pcedge.errors import DatasetError, ImageError

_HELD_OUT_SHARE, _MOST_HELD_OUT = 0.25, 50
_FEWEST = 8
SYNTHETIC = "good images with faults pasted into them"
LABELLED = "labelled pictures"


def separation_dataset(dataset: Dataset, folder: Path, seed: int) -> Dataset:
    """A dataset that says what the planner needs to know of good images alone.

    A quarter of the good images (50 at most) is kept from the bank. They are the good test images, and each
    of them with each kind of fault is a defective one.

    Args:
        dataset: With good images.
        folder: An empty folder, for links to the images and for the images with faults; the root.
        seed: Of which images are held out, and of the faults.

    Raises:
        DatasetError: There are too few good images.
    """
    from .faults import FAULTS, pasted

    good = training_images(dataset, at_least=_FEWEST)
    rng = np.random.default_rng(seed)
    count = min(_MOST_HELD_OUT, max(2, round(_HELD_OUT_SHARE * len(good))))
    held = set(rng.choice(len(good), count, replace=False).tolist())
    train = [_linked(path, folder / "train" / GOOD, n) for n, path in enumerate(good) if n not in held]
    samples: list[Sample] = []
    others = [path for n, path in enumerate(good) if n not in held]
    for number in sorted(held):
        samples.append(Sample(_linked(good[number], folder / "test" / GOOD, number), GOOD))
        try:
            picture = read_content(good[number])
            other = read_content(others[int(rng.integers(len(others)))])
        except ImageError:
            continue  # what embeds them says so
        for kind, name in enumerate(FAULTS):
            path = folder / "test" / name / f"{number:06d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_image(path, pasted(name, picture, other, seed + len(FAULTS) * number + kind))
            samples.append(Sample(path, name))
    if not any(sample.is_defect for sample in samples):
        raise DatasetError("None of the held-out images can be read.", "Replace those that are damaged.")
    return replace(dataset, root=folder, train=tuple(train), test=tuple(samples), validation=())


def _linked(path: Path, folder: Path, number: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / f"{number:06d}-{path.name}"
    link.symlink_to(path.resolve())
    return link
