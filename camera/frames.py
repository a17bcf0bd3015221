"""Value objects of an inspection: frames, verdicts, regions, explanations and inspections."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from .quality.limits import QualityResult


class Verdict(str, Enum):
    """Verdict on a frame. INVALID means that it could not be judged, so the part must not pass."""

    OK = "OK"
    REVIEW = "REVIEW"
    NG = "NG"
    INVALID = "INVALID"

    @property
    def passes(self) -> bool:
        """Whether a part with this verdict may pass."""
        return self is Verdict.OK


@dataclass(frozen=True, eq=False)
class Frame:
    """One image from a source, or the reason why it could not be read.

    Attributes:
        source: The source's name, safe to print (no password).
        index: Number of the frame in its source, from 0; dropped frames leave gaps.
        name: Display name: a file name, or ``frame-000012``.
        captured_at: Unix time of capture in seconds; for a file, the time at which it was read.
        image_rgb: uint8 [height, width, 3]; None when ``fault`` says why it could not be read.
        fault: Empty, or why there is no image.
        key: Unique key of a file, which is the same after a restart; empty for other sources.
        camera: Name of the camera; empty if the name of the source is used.
        clock_s: ``time.monotonic()`` at capture. Latencies are measured from here, so that setting the system
            clock does not change them.
        look: Result of the frame gate; None before the check, and without one.
        may_repeat: Whether its compression leaves out noise, so that images of a scene at rest may be equal.
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
    may_repeat: bool = False

    @property
    def camera_name(self) -> str:
        """Name of the camera; the name of the source if none was given."""
        return self.camera or self.source


@dataclass(frozen=True)
class Region:
    """A connected anomalous area of an image; coordinates are in pixels of the image.

    Attributes:
        box_xywh: Left, top, width and height of the bounding box.
        area_px: Area in pixels.
        peak: The highest value of the anomaly map in the region.
        peak_xy: Position of the peak.
        contour_xy: Outline as the corners of a polygon.
    """

    box_xywh: tuple[int, int, int, int]
    area_px: float
    peak: float
    peak_xy: tuple[int, int]
    contour_xy: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a region is anomalous: its most anomalous patch and the nearest normal patch.

    Boxes are left, top, width and height. The normal patch is from a training image; its position is given in
    the coordinates of the inspected image, as if the two images were aligned.

    Attributes:
        patch_xywh: The patch, in the image's pixels.
        around_xywh: The crop around the patch that is shown.
        distance: Distance from the patch to the nearest normal patch in embedding space; the anomaly map
            consists of the squares of such distances.
        typical_distance: Typical distance between normal patches here: the median distance from the nearest
            normal patch to its own neighbours; None if it has none.
        image: Name of the training image that contains the nearest normal patch.
        normal_xy: Centre of that patch.
        normal_rgb: uint8 [h, w, 3], crop of the training image as the network saw it; None if no image was
            kept.
        normal_patch_xywh: The normal patch in ``normal_rgb``.
        missing: Why there is no crop; empty if there is one.
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
        """The distance as a multiple of the typical distance."""
        return self.distance / self.typical_distance if self.typical_distance else None


Explain = Callable[[], tuple[Explanation, ...]]


def unexplained() -> tuple[Explanation, ...]:
    """No explanations."""
    return ()


@dataclass(frozen=True, eq=False)
class Inspection:
    """Result of the inspection of one frame.

    Attributes:
        verdict: OK, REVIEW, NG or INVALID.
        score: Anomaly score; None when the frame could not be judged.
        threshold: The score above which the verdict is NG.
        reason: Why the verdict is INVALID; empty otherwise.
        score_map_hw: float32 [h, w] anomaly map at the network's input size; None when not judged.
        map_to_picture: float64 [2, 3], affine map from (x, y) pixel centres of the map to those of
            the image; None when not judged.
        map_threshold: The map value above which the heatmap shows NG.
        review_threshold: The score above which the verdict is REVIEW; None when there is no REVIEW.
        regions: Where the image differs, the highest peak first; empty when OK or not judged.
        review_map_threshold: The map value above which the heatmap shows REVIEW; None when there is no
            REVIEW.
        explain: Returns the explanations of the first few regions, in their order. They are computed at the
            first call, so that judging does not wait for them; may be called from any thread.
        p_value: The share of new good parts that is expected to score as high or higher; None when not
            judged or not known.
        numbers: Further quantities by name, which are monitored for drift.
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
