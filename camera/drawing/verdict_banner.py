"""Verdict banner above an image, and the complete result image."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..frames import Frame, Inspection, Verdict
from .heatmap import draw_findings

_COLOURS: dict[Verdict, tuple[int, int, int]] = {
    Verdict.OK: (21, 116, 62),
    Verdict.REVIEW: (176, 92, 4),
    Verdict.NG: (190, 24, 36),
    Verdict.INVALID: (82, 88, 98),
}
_GROUND = 24
_NARROWEST_PX = 240
_SMALLEST_FONT_PX, _LARGEST_FONT_PX = 13, 96
_EMPTY_HW = (270, 480)
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def result_picture(frame: Frame, inspection: Inspection) -> NDArray[np.uint8]:
    """Draw the result of an inspection: the heatmap below a banner with verdict and score.

    Returns:
        uint8 RGB. The image keeps its size and is at the bottom left; the banner is above it, and
        an image narrower than 240 px gets a dark margin on its right so that the banner can be
        read. A frame without an image is drawn as an empty one.
    """
    image = frame.image_rgb
    if image is None:
        image = np.full((*_EMPTY_HW, 3), _GROUND, np.uint8)
    return banner(draw_findings(image, inspection), findings(inspection), inspection.verdict)


def findings(inspection: Inspection) -> str:
    """Return score, threshold and p-value as short text, or the reason why there are none."""
    if inspection.score is None:
        return inspection.reason
    text = f"score {inspection.score:#.4g}"
    if math.isfinite(inspection.threshold):
        text += f" / threshold {inspection.threshold:#.4g}"
    if inspection.p_value is not None:
        text += f", p {inspection.p_value:.2g}"
    return f"{text} {inspection.reason}".rstrip()


def banner(image_rgb: NDArray[np.uint8], text: str, verdict: Verdict) -> NDArray[np.uint8]:
    """Add a banner in the colour of the verdict above an image, with the verdict and ``text``.

    The font size grows with the image; text that does not fit is made smaller, then truncated.

    Returns:
        uint8 RGB, at least 240 px wide; ``image_rgb`` is its lower left part.
    """
    height, width = image_rgb.shape[:2]
    wide = max(width, _NARROWEST_PX)
    strip = _strip(wide, text, verdict)
    whole = np.full((strip.shape[0] + height, wide, 3), _GROUND, np.uint8)
    whole[: strip.shape[0]] = strip
    whole[strip.shape[0] :, :width] = image_rgb
    return whole


def _strip(width: int, text: str, verdict: Verdict) -> NDArray[np.uint8]:
    """uint8 [height, width, 3]; its height depends on the width only."""
    font_px = min(max(width // 26, _SMALLEST_FONT_PX), _LARGEST_FONT_PX)
    height = round(1.9 * font_px)
    pad = font_px // 2
    strip = Image.new("RGB", (width, height), _COLOURS[verdict])
    draw = ImageDraw.Draw(strip)
    word = font_of(font_px)
    # The default font has one weight; drawing the verdict again with a shift makes it bold.
    for shift in range(max(2, font_px // 16)):
        draw.text((pad + shift, height / 2), verdict.value, "white", word, "lm")
    left = round(pad + word.getlength(verdict.value) + 1.1 * font_px)
    shown, fitted = _fitted(" ".join(text.split()), width - left - pad, font_px)
    draw.text((left, height / 2), shown, "white", fitted, "lm")
    return np.asarray(strip)


def _fitted(text: str, room_px: int, font_px: int) -> tuple[str, Font]:
    """Return text and font that fit into ``room_px``."""
    length = font_of(font_px).getlength(text)
    if length > room_px:
        font_px = max(_SMALLEST_FONT_PX - 2, int(font_px * room_px / length))
    font, shown = font_of(font_px), text
    while shown and font.getlength(shown) > room_px:
        text = text[:-1]
        shown = f"{text.rstrip()}..." if text else ""
    return shown, font


@cache
def font_of(size_px: int) -> Font:
    """Return the default font in a size in pixels."""
    return ImageFont.load_default(size_px)
