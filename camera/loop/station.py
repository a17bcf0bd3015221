"""Station: product, gate, part rule, region of interest and drift monitor of one camera."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ..drift.monitor import DriftMonitor
from ..frames import Frame, Inspection, Region
from ..parts.rules import EachFrame, PartRule
from ..quality.gate import FrameGate


@dataclass(frozen=True, eq=False)
class Station:
    """Settings of one camera; gate and rule have state, so every camera needs its own.

    Attributes:
        product: Product that its frames are judged as; empty if there is only one.
        gate: Rejects frames that cannot be judged.
        rule: Combines verdicts on frames to decisions on parts.
        region_xywh: Region of interest: left, top, width, height; None for the whole image.
        drift: Drift monitor; None for no drift monitoring.
    """

    product: str = ""
    gate: FrameGate | None = None
    rule: PartRule = field(default_factory=EachFrame)
    region_xywh: tuple[int, int, int, int] | None = None
    drift: DriftMonitor | None = None

    def view(self, frame: Frame) -> Frame:
        """Return the frame cropped to the region of interest; ``fault`` is set if it cannot be judged.

        Never raises: anything wrong with an image is a reason for INVALID.
        """
        if frame.image_rgb is None or frame.fault:
            return frame if frame.fault else replace(frame, fault="there is no image")
        image_rgb = frame.image_rgb
        if self.region_xywh is not None:
            left, top, width, height = self.region_xywh
            if left + width > image_rgb.shape[1] or top + height > image_rgb.shape[0]:
                size = f"{image_rgb.shape[1]} x {image_rgb.shape[0]}"
                fault = f"the region of interest {list(self.region_xywh)} is outside the image, {size}"
                return replace(frame, fault=fault)
            image_rgb = image_rgb[top : top + height, left : left + width]
        if self.gate is None:
            return replace(frame, image_rgb=image_rgb)
        fault = self.gate.check(image_rgb, may_repeat=frame.may_repeat)
        return replace(frame, image_rgb=image_rgb, fault=fault, look=self.gate.look)

    def placed(self, inspection: Inspection) -> Inspection:
        """Convert an inspection of the region of interest to coordinates of the whole image."""
        if self.region_xywh is None or inspection.map_to_picture is None:
            return inspection
        left, top = self.region_xywh[:2]
        moved = inspection.map_to_picture + np.array([[0.0, 0.0, left], [0.0, 0.0, top]])
        regions = tuple(_moved(region, left, top) for region in inspection.regions)
        return replace(inspection, map_to_picture=moved, regions=regions)


def _moved(region: Region, left: int, top: int) -> Region:
    x, y, width, height = region.box_xywh
    peak_x, peak_y = region.peak_xy
    return replace(
        region,
        box_xywh=(x + left, y + top, width, height),
        peak_xy=(peak_x + left, peak_y + top),
        contour_xy=tuple((x + left, y + top) for x, y in region.contour_xy),
    )
