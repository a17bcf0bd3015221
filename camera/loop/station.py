"""What one camera's frames go through, beside the judging itself."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ..drift.monitor import DriftMonitor
from ..frames import Frame, Inspection, Region
from ..parts.rules import EachFrame, PartRule
from ..quality.gate import FrameGate


@dataclass(frozen=True, eq=False)
class Station:
    """One camera's place at the line; gate and rule remember frames, so every camera needs its own.

    Attributes:
        product: What its frames are judged as; empty when there is only one product.
        gate: Turns away frames that are not fit to be judged.
        rule: Makes decisions on parts of verdicts on frames.
        region_xywh: The part of the image that is judged: left, top, width, height; None for all of it.
        drift: Notices slow changes; None to look for none.
    """

    product: str = ""
    gate: FrameGate | None = None
    rule: PartRule = field(default_factory=EachFrame)
    region_xywh: tuple[int, int, int, int] | None = None
    drift: DriftMonitor | None = None

    def view(self, frame: Frame) -> Frame:
        """The frame with nothing but the region that is judged, or with ``fault`` set why it cannot be.

        Never raises: whatever is wrong with an image is a reason for INVALID.
        """
        if frame.image_rgb is None or frame.fault:
            return frame if frame.fault else replace(frame, fault="there is no picture")
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
        fault = self.gate.check(image_rgb)
        return replace(frame, image_rgb=image_rgb, fault=fault, look=self.gate.look)

    def placed(self, inspection: Inspection) -> Inspection:
        """What was found in the region, in coordinates of the whole image."""
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
