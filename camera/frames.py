"""What travels through this folder: frames in, inspections out."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from .quality.limits import QualityResult


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
    """One image from a source, or the news that it could not be had.

    Attributes:
        source: The source's name, safe to print (no password).
        index: Number of the frame in its source, from 0; dropped frames leave gaps.
        name: What a person calls it: a file name, or ``frame-000012``.
        captured_at: Unix time in seconds at which it was captured; of a file, at which it was read.
        image_rgb: uint8 [height, width, 3]; None when ``fault`` says why it could not be read.
        fault: Empty, or why there is no image.
        key: Of a file: what tells it from every other, also after a restart; empty otherwise.
        camera: Name of the camera; empty for the source's own.
        clock_s: ``time.monotonic()`` when it was captured: latencies are measured from here, which a clock
            that is set does not disturb.
        look: What the frame gate saw of the image; None before, and where it did not look.
    """

    source: str
    index: int
    name: str
    captured_at: float
    image_rgb: NDArray[np.uint8] | None
    fault: str = ""
    key: str = ""
    camera: str = ""
    clock_s: float = field(default_factory=time.monotonic)
    look: QualityResult | None = None

    @property
    def camera_name(self) -> str:
        """Name of the camera, which is the source's where none was given."""
        return self.camera or self.source


@dataclass(frozen=True)
class Region:
    """A connected area in which an image differs from what is normal; coordinates are the image's pixels.

    Attributes:
        box_xywh: Left, top, width and height of its bounding box.
        area_px: Its area.
        peak: The highest value of the anomaly map in it.
        peak_xy: Where that is.
        contour_xy: Its outline, as the corners of a polygon.
    """

    box_xywh: tuple[int, int, int, int]
    area_px: float
    peak: float
    peak_xy: tuple[int, int]
    contour_xy: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a region stands out: its patch that differs most, beside the nearest normal one.

    Boxes are left, top, width and height. What is called normal is from a training image, whose places are
    given as those of the image: where they would be if the two lay on each other.

    Attributes:
        patch_xywh: The patch, in the image's pixels.
        around_xywh: What is shown of the image around it.
        distance: From the patch to the nearest normal one, in the space of embeddings; its square is what the
            anomaly map is made of.
        typical_distance: How far normal patches like that one lie from each other: the median distance from
            it to those nearest to it; None where there are no others.
        image: The training image that the nearest normal patch is from.
        normal_xy: The centre of that patch.
        normal_rgb: uint8 [h, w, 3], what the network saw there; None where no image was kept.
        normal_patch_xywh: The normal patch in ``normal_rgb``.
        missing: Why there is no image; empty if there is one.
    """

    patch_xywh: tuple[int, int, int, int]
    around_xywh: tuple[int, int, int, int]
    distance: float
    typical_distance: float | None
    image: str
    normal_xy: tuple[int, int]
    normal_rgb: NDArray[np.uint8] | None = None
    normal_patch_xywh: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    missing: str = ""

    @property
    def times_typical(self) -> float | None:
        """The distance as a multiple of the typical one."""
        return self.distance / self.typical_distance if self.typical_distance else None


Explain = Callable[[], tuple[Explanation, ...]]


def unexplained() -> tuple[Explanation, ...]:
    """No explanations."""
    return ()


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
            the image; None when not judged.
        map_threshold: The map value above which colours say NG.
        review_threshold: The score above which the verdict is REVIEW; None when there is no REVIEW.
        regions: Where the image differs, the highest peak first; empty when OK or not judged.
        review_map_threshold: The map value above which colours say REVIEW; None when there is no REVIEW.
        explain: Why the regions differ, in their order, of the first few of them. Found when it is called for
            the first time, so that judging does not wait for it; from any thread.
        p_value: Of new good parts, the share that is expected to score as much or more; None when not judged
            or not known.
        numbers: What else was found, by name, for those who watch whether it drifts.
    """

    verdict: Verdict
    score: float | None
    threshold: float
    reason: str = ""
    score_map_hw: NDArray[np.float32] | None = None
    map_to_picture: NDArray[np.float64] | None = None
    map_threshold: float = 0.0
    review_threshold: float | None = None
    regions: tuple[Region, ...] = ()
    review_map_threshold: float | None = None
    explain: Explain = unexplained
    p_value: float | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)
