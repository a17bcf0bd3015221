"""What travels through this folder: frames in, inspections out."""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray


class Verdict(str, Enum):
    """What an inspector says of a frame. INVALID means: could not be judged, so do not pass."""

    OK = "OK"
    REVIEW = "REVIEW"
    NG = "NG"
    INVALID = "INVALID"

    @property
    def passes(self) -> bool:
        """Whether a part with this verdict may go on."""
        return self is Verdict.OK


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture from a source, or the news that it could not be had.

    Attributes:
        source: The source's name, safe to print (no password).
        index: Number of the frame in its source, from 0; dropped frames leave gaps.
        name: What a person calls it: a file name, or ``frame-000012``.
        captured_at: Unix time in seconds at which it was read.
        image_rgb: uint8 [height, width, 3]; None when ``fault`` says why it could not be read.
        fault: Empty, or why there is no picture.
    """

    source: str
    index: int
    name: str
    captured_at: float
    image_rgb: NDArray[np.uint8] | None
    fault: str = ""


@dataclass(frozen=True, eq=False)
class Inspection:
    """What an inspector found in one frame.

    Attributes:
        verdict: OK, REVIEW, NG or INVALID.
        score: Anomaly score; None when the frame could not be judged.
        threshold: The score above which the verdict is NG.
        reason: Why the verdict is INVALID; empty otherwise.
        score_map_hw: float32 [h, w] anomaly map at the network's input size; None when not judged.
        map_to_picture: float64 [2, 3], affine map from (x, y) pixel centres of the map to those of
            the picture; None when not judged.
        map_threshold: The map value at which colouring starts.
    """

    verdict: Verdict
    score: float | None
    threshold: float
    reason: str = ""
    score_map_hw: NDArray[np.float32] | None = None
    map_to_picture: NDArray[np.float64] | None = None
    map_threshold: float = 0.0
