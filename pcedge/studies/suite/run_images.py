"""The most telling test images of a run, drawn: what was missed and what was rejected wrongly first."""

from collections.abc import Sequence
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcedge.camera import HeatScale, Verdict, heatmap_overlay, read_image, read_mask, write_image
from pcedge.core.preprocessing import Preprocessing
from pcedge.evaluation.inference import Judged
from pcedge.evaluation.runs import PICTURES, RunImage
from pcedge.thresholds.verdict import Thresholds

_LONGEST_PX = 512
_WORST, _BEST = 8, 4


def choose(images: Sequence[Judged], threshold: float) -> list[tuple[str, Judged]]:
    """Group and image: misses and false rejects, the worst first, then clear finds and clear passes.

    INVALID images have no map to show, and are in none of these groups.
    """
    # A score that is not a number has no place in an order.
    ranked = sorted((image for image in images if isfinite(image.score)), key=lambda image: image.score)
    defects = [image for image in ranked if image.sample.is_defect]
    good = [image for image in ranked if not image.sample.is_defect]
    rule = Thresholds(threshold)

    def some(images: Sequence[Judged], verdict: Verdict, most: int) -> list[Judged]:
        return [image for image in images if rule.verdict(image.score) is verdict][:most]

    groups = {
        "miss": some(defects, Verdict.OK, _WORST),
        "false_reject": some(good[::-1], Verdict.NG, _WORST),
        "found": some(defects[::-1], Verdict.NG, _BEST),
        "accepted": some(good, Verdict.OK, _BEST),
    }
    return [(group, image) for group, chosen in groups.items() for image in chosen]


def draw(
    directory: Path,
    chosen: Sequence[tuple[str, Judged]],
    preprocessing: Preprocessing,
    map_threshold: float,
) -> tuple[RunImage, ...]:
    """Write the chosen images, their anomaly maps and their masks below ``directory``/pictures.

    Args:
        directory: Of the run.
        chosen: Group and image, from :func:`choose`.
        preprocessing: Where the map lies on the image.
        map_threshold: Map values above it are coloured.
    """
    drawn = []
    for number, (group, image) in enumerate(chosen):
        stem = f"{PICTURES}/{number:02d}-{group}"
        picture = _fitted(read_image(image.sample.path))
        height, width = picture.shape[:2]
        heatmap = heatmap_overlay(
            picture,
            image.score_map,
            preprocessing.map_to_picture(width, height),
            HeatScale(map_threshold),
            mark_peak=group in ("miss", "found"),
        )
        write_image(directory / f"{stem}.jpg", picture)
        write_image(directory / f"{stem}-heatmap.jpg", heatmap)
        mask = ""
        if image.mask is not None and image.sample.masks:
            mask = f"{stem}-mask.png"
            _write_mask(directory / mask, image.sample.masks)
        drawn.append(
            RunImage(
                group=group,
                name=image.name,
                kind=image.sample.kind,
                score=image.score,
                picture=f"{stem}.jpg",
                heatmap=f"{stem}-heatmap.jpg",
                mask=mask,
            )
        )
    return tuple(drawn)


def _write_mask(path: Path, masks: Sequence[Path]) -> None:
    """White where any of the masks marks something."""
    marked = np.maximum.reduce([read_mask(mask) for mask in masks])
    white = np.where(marked > 0, np.uint8(255), np.uint8(0))
    write_image(path, _fitted(np.repeat(white[..., np.newaxis], 3, axis=2)))


def _fitted(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image made small enough for a page, if it is larger."""
    import cv2

    height, width = picture.shape[:2]
    scale = _LONGEST_PX / max(height, width)
    if scale >= 1:
        return picture
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(picture, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
