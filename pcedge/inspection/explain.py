"""``explain``: judge one image and explain its regions."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

from pcedge.camera import (
    Event,
    Frame,
    Inspection,
    Verdict,
    explanation_sheet,
    read_image,
    without_content,
    write_image,
)
from pcedge.errors import ImageError

from .detector import AnyDetector


@dataclass(frozen=True, eq=False)
class Explained:
    """A judged image with explanations.

    Attributes:
        frame: The image.
        inspection: Its regions and their explanations. An OK image has one too: the most unusual place.
        milliseconds: From the decoded image to the verdict.
    """

    frame: Frame
    inspection: Inspection
    milliseconds: float

    def to_json(self, sheet: Path | None = None) -> str:
        """One JSON line, as ``watch`` writes for a frame; ``files`` names the sheet, if one was written."""
        files = {} if sheet is None else {"sheet": str(sheet)}
        return Event.of(self.frame, self.inspection, self.milliseconds, files).to_json()

    def write_sheet(self, path: Path) -> None:
        """Write the image, its heatmap, and every region beside the nearest normal patch.

        Raises:
            OutputError: It could not be written.
        """
        write_image(path, explanation_sheet(self.frame, self.inspection))


def explain(detector: AnyDetector, path: Path) -> Explained:
    """Judge an image and say why.

    Args:
        detector: From ``open_detector``; it is not verified here, since no part is judged on a line.
        path: The image.

    Raises:
        ImageError: It cannot be read, or is blank.
    """
    image = read_image(path)
    if reason := without_content(image):
        raise ImageError(f"{path}: shows nothing to judge: {reason}.")
    frame = Frame(str(path.parent), 0, path.name, path.stat().st_mtime, image)
    began = time.perf_counter()
    stages = detector.stages(image)
    inspection = detector.judge(stages, image)
    milliseconds = 1000 * (time.perf_counter() - began)
    if inspection.verdict is Verdict.OK:
        regions, reasons = detector.most_unusual(stages, image)
        inspection = replace(inspection, regions=regions, explain=reasons)
    return Explained(frame, inspection, milliseconds)
