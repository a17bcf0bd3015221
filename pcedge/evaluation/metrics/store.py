"""What pixel metrics keep of each map until all are there: little in memory, the rest on disk if need be."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.typing import NDArray

# Up to this much stays in memory; maps of 224 x 224 pixels reach it after 1,300 images.
_IN_MEMORY = 256 * 1024 * 1024
# Scores read back together.
_BLOCK = 1 << 25
_SAMPLE = 256


@dataclass(frozen=True, eq=False)
class Defects:
    """The defect pixels of one image.

    Attributes:
        scores: Their scores, float32 [d].
        weights: One over the size of each pixel's region, float32 [d].
        regions: How many regions there are.
    """

    scores: NDArray[np.float32]
    weights: NDArray[np.float32]
    regions: int

    @classmethod
    def of(cls, score_map: NDArray[np.float32], mask: NDArray[np.bool_]) -> "Defects":
        """Of a map and its mask; a region is what hangs together, diagonal neighbours included."""
        import cv2

        count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        own = labels[mask]
        sizes = np.bincount(own, minlength=count)
        return cls(score_map[mask], (1.0 / sizes[own]).astype(np.float32), count - 1)


class NormalScores:
    """The normal pixels' scores of several images, sorted image by image, in a file when they are many."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed by close
        self._lengths: list[int] = []
        self._samples: list[NDArray[np.float32]] = []

    def add(self, scores: NDArray[np.float32]) -> None:
        """Take over an image's normal scores; they are sorted in place."""
        scores.sort()
        self._file.write(scores.tobytes())
        self._lengths.append(len(scores))
        self._samples.append(scores[:: max(1, len(scores) // _SAMPLE)].copy())

    def __len__(self) -> int:
        return sum(self._lengths)

    def sample(self) -> list[NDArray[np.float32]]:
        """Some scores of each image, evenly over their order."""
        return self._samples

    def blocks(self) -> Iterator[list[NDArray[np.float32]]]:
        """Each image's scores, sorted, several images at a time."""
        self._file.seek(0)
        block: list[NDArray[np.float32]] = []
        for length in self._lengths:
            block.append(np.frombuffer(self._file.read(4 * length), np.float32))
            if sum(map(len, block)) >= _BLOCK:
                yield block
                block = []
        if block:
            yield block

    def close(self) -> None:
        """Give memory and disk back."""
        self._file.close()
