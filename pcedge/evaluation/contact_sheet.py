"""The contact sheet: results that people would rather look at than read."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcedge.camera import Frame, Inspection, explanation_sheet, heat_legend, result_picture, write_image

_TILE_PX = 256
_GAP_PX = 8
_GROUND = 24
_LEGEND_PX = 640

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>
  body {{ background: #16181d; color: #e6e8eb; font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto;
         max-width: 1280px; padding: 0 1rem; }}
  h1 {{ font-weight: 600; }} a {{ color: #8ab4f8; }}
  table {{ border-collapse: collapse; margin: 1rem 0 2rem; }}
  td {{ padding: .25rem 1.5rem .25rem 0; border-bottom: 1px solid #33373f; }}
  td:last-child {{ font-variant-numeric: tabular-nums; }}
  .tiles {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(400px, 1fr)); gap: 1.5rem; }}
  figure {{ margin: 0; }} figure div {{ display: flex; gap: 4px; }} figure img {{ width: 50%; }}
  figcaption {{ color: #a9afb8; }} .NG {{ color: #ff7b72; }} .OK {{ color: #56d364; }}
  .INVALID, .REVIEW {{ color: #e3b341; }}
</style>
<h1>{title}</h1>
<p>{introduction}</p>
<table>{facts}</table>
<p><img src="sheet/legend.png" alt="What the colours of the heatmaps mean"></p>
<p>Click on a heatmap to see why a part was flagged, and the nearest normal patch.</p>
<div class="tiles">
{tiles}
</div>
</html>
"""
_TILE = (
    '<figure><div><a href="{picture}"><img src="{picture}" alt=""></a>'
    '<a href="{explained}"><img src="{heatmap}" alt=""></a></div>'
    '<figcaption>{title}: <b class="{verdict}">{verdict}</b>, score {score}{reason}</figcaption></figure>'
)


@dataclass(frozen=True, eq=False)
class Tile:
    """One image of the sheet and what the inspector made of it."""

    title: str
    image_rgb: NDArray[np.uint8]
    inspection: Inspection


def write_sheet(
    directory: Path, tiles: Sequence[Tile], *, title: str, introduction: str, facts: dict[str, str]
) -> tuple[Path, Path]:
    """Write ``index.html`` with its images, and the same as one ``sheet.png``; return both paths."""
    pictures = directory / "sheet"
    pictures.mkdir(parents=True, exist_ok=True)
    figures = []
    drawn = []
    for number, tile in enumerate(tiles):
        frame = Frame("", number, tile.title, 0.0, tile.image_rgb)
        result = result_picture(frame, tile.inspection)
        drawn += [_fitted(tile.image_rgb), _fitted(result)]
        stem = f"sheet/{number:02d}"
        names = (f"{stem}.png", f"{stem}-heatmap.jpg", f"{stem}-explained.jpg")
        write_image(directory / names[0], tile.image_rgb)
        write_image(directory / names[1], result)
        write_image(directory / names[2], explanation_sheet(frame, tile.inspection))
        figures.append(_figure(tile, *names))
    rows = "".join(f"<tr><td>{escape(k)}</td><td>{escape(v)}</td></tr>" for k, v in facts.items())
    page = _PAGE.format(
        title=escape(title),
        introduction=escape(introduction),
        facts=rows,
        tiles="\n".join(figures),
    )
    html, png = directory / "index.html", directory / "sheet.png"
    html.write_text(page, encoding="utf-8")
    grid = _grid(drawn, columns=6)
    if tiles:
        write_image(pictures / "legend.png", heat_legend(tiles[0].inspection, _LEGEND_PX))
        grid = np.concatenate([grid, heat_legend(tiles[0].inspection, grid.shape[1])])
    write_image(png, grid)
    return html, png


def _figure(tile: Tile, picture: str, heatmap: str, explained: str) -> str:
    score = tile.inspection.score
    reasons = tile.inspection.explain()
    times = reasons[0].times_typical if reasons else None
    return _TILE.format(
        picture=picture,
        heatmap=heatmap,
        explained=explained,
        reason="" if times is None else f", {times:.1f} times the typical distance",
        title=escape(tile.title),
        verdict=tile.inspection.verdict.value,
        score="not judged" if score is None else f"{score:.4g}",
    )


def _fitted(image_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image scaled to fit a tile, bottom left."""
    import cv2

    height, width = image_rgb.shape[:2]
    scale = _TILE_PX / width
    size_wh = (_TILE_PX, round(height * scale))
    return np.asarray(cv2.resize(image_rgb, size_wh, interpolation=cv2.INTER_AREA), np.uint8)


def _grid(pictures: Sequence[NDArray[np.uint8]], columns: int) -> NDArray[np.uint8]:
    """Pictures of one width in rows, aligned at their lower edges."""
    lines = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    step = _TILE_PX + _GAP_PX
    heights = [max(picture.shape[0] for picture in line) + _GAP_PX for line in lines]
    sheet = np.full((sum(heights) + _GAP_PX, columns * step + _GAP_PX, 3), _GROUND, np.uint8)
    bottom = 0
    for line, height in zip(lines, heights, strict=True):
        bottom += height
        for column, picture in enumerate(line):
            left = _GAP_PX + column * step
            sheet[bottom - picture.shape[0] : bottom, left : left + _TILE_PX] = picture
    return sheet
