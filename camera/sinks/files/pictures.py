"""The folder of images with heatmaps, as a line's file asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ..base import ImageSink
from ..settings import SinkKind, Text
from .kept_files import KeptFilesTable


class PicturesTable(KeptFilesTable, frozen=True):
    """``[sinks.pictures]``: images with heatmaps."""

    folder: Text = "pictures"
    save: Literal["flagged", "all", "none"] = "flagged"


def _make(table: PicturesTable, output: Path) -> ImageSink:
    return ImageSink(output, table.save, folder=table.folder, retention=table.retention, aside=True)


KIND = SinkKind("pictures", PicturesTable, _make, default=PicturesTable())
