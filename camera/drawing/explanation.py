"""Drawing of explanations: heatmap, nearest normal patches and colour legend in one image."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..frames import Explanation, Frame, Inspection, Region
from .heatmap import HeatScale, draw_findings, heat_colours
from .verdict_banner import banner, findings, font_of

_GROUND, _CARD, _EMPTY, _GREY = (24, 24, 24), (38, 40, 44), (56, 58, 63), (128, 128, 128)
_BRIGHT, _SOFT, _DARK = (238, 240, 242), (168, 173, 180), (18, 18, 18)
_HERE, _NORMAL = (255, 120, 70), (110, 215, 140)
_LEGEND = "Anomaly map: the same colours mean the same values on every image of this product."
_NARROWEST_PX = 560
_SHEET_PX, _TALLEST_PX, _GAP_PX = 1240, 760, 12


def explained_picture(image_rgb: NDArray[np.uint8], inspection: Inspection) -> NDArray[np.uint8]:
    """Draw the heatmap at the size of the image, and the explanations of the regions below it.

    Returns:
        uint8 RGB. The heatmap is at the top left; an image narrower than 560 px gets a dark margin. Without
        explanations only the heatmap is returned.
    """
    explanations = inspection.explain()
    heat = _numbered(draw_findings(image_rgb, inspection), inspection.regions[: len(explanations)])
    if not explanations:
        return heat
    width = max(image_rgb.shape[1], _NARROWEST_PX)
    text = _line(f"{inspection.verdict.value}  {findings(inspection)}", width)
    return _stacked([heat, text, _reasons(image_rgb, inspection, explanations, width)], width)


def explanation_sheet(frame: Frame, inspection: Inspection) -> NDArray[np.uint8]:
    """Draw a sheet for one frame: verdict, image, heatmap beside it, and the explanations below.

    Args:
        frame: The frame; it must have an image.
        inspection: Its result.
    """
    assert frame.image_rgb is not None
    explanations = inspection.explain()
    height, width = frame.image_rgb.shape[:2]
    room = (_SHEET_PX - 3 * _GAP_PX) // 2
    scale = min(room / width, _TALLEST_PX / height)
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    heat = _numbered(draw_findings(frame.image_rgb, inspection), inspection.regions[: len(explanations)])
    pair = np.full((size_wh[1] + 2 * _GAP_PX, _SHEET_PX, 3), _GROUND, np.uint8)
    for column, image in enumerate((frame.image_rgb, heat)):
        left = _GAP_PX + column * (room + _GAP_PX) + (room - size_wh[0]) // 2
        pair[_GAP_PX : _GAP_PX + size_wh[1], left : left + size_wh[0]] = _resized(image, size_wh)
    text = f"{findings(inspection)}   {frame.name}"
    parts = [pair, _reasons(frame.image_rgb, inspection, explanations, _SHEET_PX)]
    return banner(_stacked(parts, _SHEET_PX), text, inspection.verdict)


def heat_legend(inspection: Inspection, width: int) -> NDArray[np.uint8]:
    """Draw the colour legend of a product's heatmaps, uint8 [h, width, 3]."""
    font_px = _font_px(width)
    scale = HeatScale(inspection.map_threshold, inspection.review_map_threshold)
    pad, bar_px = font_px, round(1.1 * font_px)
    strip = Image.new("RGB", (width, round(4.8 * font_px)), _GROUND)
    lowest = scale.low - 0.25 * (scale.high - scale.low)
    values = np.linspace(lowest, scale.high, width - 2 * pad)
    bar = np.repeat(_shades(scale.levels(values))[np.newaxis], bar_px, axis=0)
    strip.paste(Image.fromarray(bar), (pad, pad))
    draw, small = ImageDraw.Draw(strip), font_of(max(11, round(0.85 * font_px)))
    below = pad + bar_px + 1.15 * font_px
    ticks = [(scale.ng, "NG above", "ls"), (scale.high, "strongest from", "rs")]
    if scale.low < scale.ng:
        ticks.insert(0, (scale.low, "REVIEW above", "rs"))
    for value, word, anchor in ticks:
        x = pad + (width - 2 * pad - 1) * (value - lowest) / (scale.high - lowest)
        draw.line([(x, pad), (x, pad + bar_px + font_px // 4)], _BRIGHT, max(1, font_px // 12))
        draw.text((x, below), f"{word} {value:.4g}", _SOFT, small, anchor)
    draw.text((pad, below + 1.3 * font_px), _LEGEND, _SOFT, small, "ls")
    return np.asarray(strip)


def _shades(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Heatmap colours as they look on a grey part."""
    colours, covers = heat_colours()
    mixed = colours * covers + np.array(_GREY) * (1 - covers)
    mixed[0] = _EMPTY
    return np.rint(mixed[levels]).astype(np.uint8)


def _reasons(
    image_rgb: NDArray[np.uint8], inspection: Inspection, explanations: Sequence[Explanation], width: int
) -> NDArray[np.uint8]:
    """Draw a card for each region, and the legend."""
    columns = max(1, min(len(explanations), width // (21 * _font_px(width)), 3))
    card_px = min((width - (columns + 1) * _GAP_PX) // columns, 30 * _font_px(width))
    # All crops of an image have the same size, except for rounding.
    shape_wh = _fitted(explanations[0].around_xywh[2:], _side(card_px)) if explanations else (0, 0)
    cards = [_card(n, image_rgb, one, card_px, shape_wh) for n, one in enumerate(explanations, 1)]
    rows = []
    for start in range(0, len(cards), columns):
        line = cards[start : start + columns]
        row = np.full((line[0].shape[0] + _GAP_PX, width, 3), _GROUND, np.uint8)
        for column, card in enumerate(line):
            left = _GAP_PX + column * (card_px + _GAP_PX)
            row[_GAP_PX:, left : left + card_px] = card
        rows.append(row)
    return np.concatenate([*rows, heat_legend(inspection, width)])


def _line(text: str, width: int) -> NDArray[np.uint8]:
    font_px = _font_px(width)
    strip = Image.new("RGB", (width, round(1.9 * font_px)), _GROUND)
    place = (_GAP_PX, 1.2 * font_px)
    ImageDraw.Draw(strip).text(place, text, _BRIGHT, font_of(round(1.1 * font_px)), "lm")
    return np.asarray(strip)


def _card(
    number: int, image_rgb: NDArray[np.uint8], one: Explanation, width: int, shape_wh: tuple[int, int]
) -> NDArray[np.uint8]:
    """Draw the card of a region: its patch, the nearest normal patch, and the distance between them."""
    font_px = _card_font_px(width)
    pad, side = font_px // 2, _side(width)
    head = round(1.6 * font_px)
    height = head + shape_wh[1] + round(4.9 * font_px)
    card = Image.new("RGB", (width, height), _CARD)
    draw = ImageDraw.Draw(card)
    left, top, crop_w, crop_h = _inside(one.around_xywh, image_rgb)
    here = image_rgb[top : top + crop_h, left : left + crop_w]
    x, y, w, h = one.patch_xywh
    for column, (word, colour) in enumerate((("this image", _HERE), ("nearest normal", _NORMAL))):
        at = pad + column * (side + pad)
        heading = f"{number}  {word}" if column == 0 else word
        draw.text((at, head / 2), heading, colour, font_of(font_px), "lm")
    card.paste(_shown(here, (x - left, y - top, w, h), shape_wh, _HERE), (pad, head))
    second = (2 * pad + side, head)
    if one.normal_rgb is None:
        _write_missing(draw, one.missing, second, shape_wh, font_px)
    else:
        card.paste(_shown(one.normal_rgb, one.normal_patch_xywh, shape_wh, _NORMAL), second)
    _write_numbers(draw, one, (pad, head + shape_wh[1] + pad), width - 2 * pad, font_px)
    return np.asarray(card)


def _write_numbers(
    draw: ImageDraw.ImageDraw, one: Explanation, at_xy: tuple[int, int], room: int, font_px: int
) -> None:
    times = one.times_typical
    first = "no typical distance" if times is None else f"{times:.1f} times the typical distance here"
    second = f"distance {one.distance:.4g}"
    if one.typical_distance is not None:
        second += f", typical {one.typical_distance:.4g}"
    x, y = at_xy
    draw.text((x, y), first, _BRIGHT, font_of(round(1.05 * font_px)))
    small = font_of(round(0.85 * font_px))
    draw.text((x, y + 1.5 * font_px), second, _SOFT, small)
    place = f" at {one.normal_xy[0]}, {one.normal_xy[1]}"
    name = one.image
    while len(name) > 1 and small.getlength(f"...{name}{place}") > room:
        name = name[1:]
    shown = name if name == one.image else f"...{name}"
    draw.text((x, y + 2.7 * font_px), shown + place, _SOFT, small)


def _write_missing(
    draw: ImageDraw.ImageDraw, text: str, at_xy: tuple[int, int], size_wh: tuple[int, int], font_px: int
) -> None:
    (x, y), (width, height) = at_xy, size_wh
    draw.rectangle([x, y, x + width - 1, y + height - 1], _EMPTY)
    small = font_of(round(0.85 * font_px))
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and small.getlength(longer) > width - font_px:
            lines.append(line)
            longer = word
        line = longer
    draw.multiline_text(
        (x + width / 2, y + height / 2), "\n".join([*lines, line]), _SOFT, small, "mm", align="center"
    )


def _shown(
    crop_rgb: NDArray[np.uint8],
    patch_xywh: tuple[float, float, float, float],
    size_wh: tuple[int, int],
    colour: tuple[int, int, int],
) -> Image.Image:
    """Scale a crop to its size on the card and frame its patch."""
    image = Image.fromarray(_resized(crop_rgb, size_wh))
    draw = ImageDraw.Draw(image)
    x, y, w, h = patch_xywh
    to_x, to_y = size_wh[0] / crop_rgb.shape[1], size_wh[1] / crop_rgb.shape[0]
    line = max(2, size_wh[0] // 90)
    # The frame is drawn one line outside the patch, so that it does not hide any of it.
    box = (x * to_x - line, y * to_y - line, (x + w) * to_x + line, (y + h) * to_y + line)
    draw.rectangle((box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1), None, _DARK, line + 2)
    draw.rectangle(box, None, colour, line)
    return image


def _numbered(image: NDArray[np.uint8], regions: Sequence[Region]) -> NDArray[np.uint8]:
    """Draw the number of each region at its box."""
    if not regions:
        return image
    font_px = max(12, round(min(image.shape[:2]) / 28))
    drawn = Image.fromarray(image)
    draw = ImageDraw.Draw(drawn)
    size = round(1.3 * font_px)
    for number, region in enumerate(regions, 1):
        left, top, width, _ = region.box_xywh
        x = min(max(left + width + 2, 0), image.shape[1] - size)
        y = min(max(top - size // 2, 0), image.shape[0] - size)
        draw.rounded_rectangle([x, y, x + size - 1, y + size - 1], size // 4, _DARK, _BRIGHT)
        draw.text((x + size / 2, y + size / 2), str(number), _BRIGHT, font_of(font_px), "mm")
    return np.asarray(drawn)


def _stacked(images: Sequence[NDArray[np.uint8]], width: int) -> NDArray[np.uint8]:
    """Stack images vertically, aligned at the left."""
    whole = np.full((sum(len(image) for image in images), width, 3), _GROUND, np.uint8)
    top = 0
    for image in images:
        whole[top : top + image.shape[0], : image.shape[1]] = image
        top += image.shape[0]
    return whole


def _resized(image: NDArray[np.uint8], size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    smaller = size_wh[0] < image.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size_wh, interpolation=how), np.uint8)


def _fitted(size_wh: tuple[int, int], side: int) -> tuple[int, int]:
    scale = side / max(size_wh)
    return max(1, round(size_wh[0] * scale)), max(1, round(size_wh[1] * scale))


def _inside(box_xywh: tuple[int, int, int, int], image_rgb: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Clip a box to the image."""
    height, width = image_rgb.shape[:2]
    left, top = min(max(box_xywh[0], 0), width - 1), min(max(box_xywh[1], 0), height - 1)
    right, bottom = min(box_xywh[0] + box_xywh[2], width), min(box_xywh[1] + box_xywh[3], height)
    return left, top, max(1, right - left), max(1, bottom - top)


def _card_font_px(width: int) -> int:
    return max(13, width // 24)


def _side(width: int) -> int:
    """Side of a crop on a card of this width, in pixels."""
    return (width - 3 * (_card_font_px(width) // 2)) // 2


def _font_px(width: int) -> int:
    return min(max(width // 70, 13), 40)
