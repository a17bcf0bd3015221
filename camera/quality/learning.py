"""Learning of the limits of the frame gate from images of good parts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .limits import STEADY_RESPONSE, GateLimits, ImageMeasures, ImageStatistics, glance, offset_from

# A limit lies beyond the extreme of the nominal images by this many times their range, and at least by the
# minimum margin of each quantity, which is larger for few images. That is far enough for any good part, and
# for a defective one, which must be judged and not rejected.
MARGIN = 1.5
_FEW_IMAGES = 8
_BRIGHTNESS_MARGIN = 15.0
_SATURATED_MARGIN = 0.25
_SHARPNESS_MARGIN = math.log(2.0)
_ROW_BREAK_MARGIN = 6.0
_FLAT_ROWS_MARGIN = 0.03
_SHIFT_MARGIN = 0.03
# If nominal images are shifted by more than this share of the side of the image, the scene is not steady.
_STEADY_SHIFT = 0.04
# Values more than this many interquartile ranges beyond the quartiles are outliers: twice as far as Tukey's
# outer fences, since the row differences of a rough surface have a long tail.
_FENCE = 6.0
# Evenly spaced images; the median needs all of them in memory.
_MOST_FOR_REFERENCE = 128


@dataclass(frozen=True, eq=False)
class NominalImages:
    """Statistics of nominal images, in their order.

    Attributes:
        measures: Statistics of each image.
        offsets_xy: Offset of each image from their mean, as in :class:`QualityResult`; None if the scene is
            not steady.
    """

    measures: tuple[ImageStatistics, ...]
    offsets_xy: tuple[tuple[float, float], ...] | None


def learn_limits(images: Iterable[NDArray[np.uint8]]) -> tuple[GateLimits, NominalImages]:
    """Learn the limits from nominal images, at least one.

    The images are not kept in memory.
    """
    glances = [glance(image_rgb) for image_rgb in images]
    measured = [one.measures for one in glances]
    reference, offsets = (
        _learn_place([one.grey_hw for one in glances]) if _one_size(measured) else (None, None)
    )
    shifts = [math.hypot(*one) for one in offsets or ()]
    return _limits(measured, reference, shifts), NominalImages(tuple(measured), offsets)


def learn_usual_limits(
    glances: Sequence[ImageMeasures], trusted: Collection[int] = ()
) -> tuple[GateLimits, NominalImages, dict[int, str]]:
    """Learn the limits from images of which some may be outliers.

    The limits have the usual margin beyond the images that are not outliers.

    Args:
        glances: Measures of the images, in their order.
        trusted: Indices of images that are known to be good, even if they are outliers.

    Returns:
        The limits, the statistics of the images that pass them, and the indices of the others with the
        reason.
    """
    odd = _of_another_size([one.measures.size_wh for one in glances])
    rest = [number for number in range(len(glances)) if number not in odd]
    known = np.array([number in trusted for number in rest])
    limits = _usual_limits([glances[number] for number in rest], known)
    offsets: list[tuple[float, float]] = []
    for number in rest:
        look = limits.look_again(glances[number])
        if look.reason:
            odd[number] = look.reason
        elif limits.reference_hw is not None and look.offset_xy is None:
            odd[number] = "it shows another scene"
        elif look.offset_xy is not None:
            offsets.append(look.offset_xy)
    passed = tuple(one.measures for number, one in enumerate(glances) if number not in odd)
    return limits, NominalImages(passed, tuple(offsets) if offsets else None), odd


def _of_another_size(sizes_wh: Sequence[tuple[int, int]]) -> dict[int, str]:
    """Return indices and reasons of images without the most common size; empty if no size has a majority."""
    most, count = Counter(sizes_wh).most_common(1)[0]
    if 2 * count <= len(sizes_wh):
        return {}
    return {
        number: f"wrong size: {one[0]} x {one[1]}, most are {most[0]} x {most[1]}"
        for number, one in enumerate(sizes_wh)
        if one != most
    }


def _usual_limits(glances: Sequence[ImageMeasures], known: NDArray[np.bool_]) -> GateLimits:
    """Learn the limits from the images that are not outliers or are known to be good."""
    measured = [one.measures for one in glances]
    if not _one_size(measured):
        return _limits(measured, None, (), known)
    some = glances[:: -(-len(glances) // _MOST_FOR_REFERENCE)]
    reference = np.asarray(np.rint(np.median([one.grey_hw for one in some], axis=0)), np.uint8)
    found = [offset_from(reference, one.grey_hw) for one in glances]
    shifts = np.array([math.hypot(*offset) for offset, _ in found])
    responses = np.array([response for _, response in found])
    usual = (_usual(shifts) & _usual(responses)) | known
    if not usual.any() or shifts[usual].max() > _STEADY_SHIFT or responses[usual].min() < STEADY_RESPONSE:
        return _limits(measured, None, (), known)
    return _limits(measured, reference, shifts[usual].tolist(), known)


def _limits(
    measured: Sequence[ImageStatistics],
    reference: NDArray[np.uint8] | None,
    shifts: Sequence[float],
    known: NDArray[np.bool_] | None = None,
) -> GateLimits:
    """Compute the limits; with ``known`` (bool [images], known to be good) other outliers are ignored."""

    def found(name: str) -> list[float]:
        values = np.array([getattr(one, name) for one in measured], np.float64)
        return [float(one) for one in (values if known is None else values[_usual(values) | known])]

    return GateLimits(
        size_wh=measured[0].size_wh if _one_size(measured) else None,
        brightness=(
            max(0.0, _below(found("brightness"), _BRIGHTNESS_MARGIN)),
            min(255.0, _above(found("brightness"), _BRIGHTNESS_MARGIN)),
        ),
        saturated=_above(found("saturated"), _SATURATED_MARGIN),
        sharpness=_below(found("sharpness"), _SHARPNESS_MARGIN),
        row_break=_above(found("row_break"), _ROW_BREAK_MARGIN),
        flat_rows=_above(found("flat_rows"), _FLAT_ROWS_MARGIN),
        shift=0.0 if reference is None else _above(shifts, _SHIFT_MARGIN),
        reference_hw=reference,
    )


def _one_size(measured: Sequence[ImageStatistics]) -> bool:
    return len({one.size_wh for one in measured}) == 1


def _usual(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    lower, upper = np.quantile(values, [0.25, 0.75])
    reach = _FENCE * (upper - lower)
    return np.asarray((values >= lower - reach) & (values <= upper + reach))


def _learn_place(
    greys: Sequence[NDArray[np.uint8]],
) -> tuple[NDArray[np.uint8] | None, tuple[tuple[float, float], ...] | None]:
    """Return the mean image and the offset of each from it; None for both if the scene is not steady."""
    reference = np.asarray(np.rint(np.mean(greys, axis=0)), np.uint8)
    found = [offset_from(reference, grey) for grey in greys]
    offsets = tuple(offset for offset, _ in found)
    moved = max(math.hypot(*offset) for offset in offsets) > _STEADY_SHIFT
    if moved or min(response for _, response in found) < STEADY_RESPONSE:
        return None, None
    return reference, offsets


def _above(values: Sequence[float], least: float) -> float:
    return max(values) + _distance(values, least)


def _below(values: Sequence[float], least: float) -> float:
    return min(values) - _distance(values, least)


def _distance(values: Sequence[float], least: float) -> float:
    return max(MARGIN * (max(values) - min(values)), least * (1 + _FEW_IMAGES / len(values)))
