"""Image sink of ``[sinks.pictures]``: images with heatmaps."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ..base import ImageSink
from ..settings import SinkKind, Text
from .kept_files import KeptFilesTable


class PicturesTable(KeptFilesTable, frozen=True):
    """``[sinks.pictures]``: images with heatmaps.

    Attributes:
        folder: Folder of the images, below the output directory.
        save: Which frames to save: ``flagged`` is every verdict but OK.
    """

    folder: Text = "pictures"
    save: Literal["flagged", "all", "none"] = "flagged"


def _make(table: PicturesTable, output: Path) -> ImageSink:
    return ImageSink(output, table.save, folder=table.folder, retention=table.retention, aside=True)


KIND = SinkKind("pictures", PicturesTable, _make, default=PicturesTable())
