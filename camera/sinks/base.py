"""What every place for verdicts promises, and the folder that keeps images of what was found."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Literal, Protocol, runtime_checkable

from pcedge.errors import OptionError

from ..events.event import Event
from ..frames import Frame, Inspection
from .files.image_process import ImageProcess, WritePictures, write_pictures
from .files.retention import PICTURE_NAMES, Keeper, Retention

Save = Literal["flagged", "all", "none"]


class Opened(Protocol):
    """Something that is opened and closed by ``with``."""

    def __enter__(self) -> object:
        """Open it.

        Raises:
            PcedgeError: It cannot be opened.
        """

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""


class Sink(Opened, Protocol):
    """Something that is told every event.

    Opened by ``with`` before the first event. A ``write`` that raises a ``PcedgeError`` means "not now": the
    event is given to it again later, and others wait behind it. With an attribute ``retries = False`` nothing
    is given to it twice.
    """

    def write(self, event: Event) -> None:
        """Take one event.

        Raises:
            PcedgeError: It could not be stored or sent.
        """


@runtime_checkable
class FrameSink(Opened, Protocol):
    """Something that needs the image too, such as a folder of images.

    What it gets is large, so few wait for it, and what it cannot take in time is left out and counted.
    """

    def wants(self, event: Event) -> bool:
        """Whether it would do anything with this event; called often and must be quick."""

    def write_frame(self, event: Event, frame: Frame, inspection: Inspection) -> None:
        """Take one event with its image.

        Raises:
            PcedgeError: It could not be stored.
        """


class ImageSink:
    """A folder that keeps images: the original as PNG and its heatmap as JPEG.

    The heatmap has the image's size; with explanations, these are below it.

    Names begin with the time of capture, so they sort by it:
    ``20261122T101530.123456-cam0-000012-NG.png`` and ``...-NG-heatmap.jpg``. No two frames share a name; a
    frame judged again after a restart replaces its own images.

    Either :meth:`write` at once, or :meth:`names` where the event is made, which touches no disk, and
    :meth:`write_frame` later, in a thread that has the time.

    Args:
        directory: What the names given out are relative to.
        save: Of which frames: ``flagged`` (every verdict but OK), ``all`` or ``none``.
        folder: The folder in ``directory`` that the images go to, such as ``pictures``; empty for
            ``directory`` itself. Made with the first image if it is missing.
        retention: When the oldest images go; without it all are kept.
        aside: Let :meth:`write_frame` draw and write in a process of its own, so that it takes no time from
            an inspection in this one.

    Raises:
        OptionError: ``save`` is none of these.
    """

    def __init__(
        self,
        directory: str | Path,
        save: Save = "flagged",
        *,
        folder: str = "",
        retention: Retention | None = None,
        aside: bool = False,
    ) -> None:
        if save not in {"flagged", "all", "none"}:
            raise OptionError(f"Cannot save '{save}' images.", "Use flagged, all or none.")
        self._directory = Path(directory)
        self._folder = PurePosixPath(folder)
        self._save = save
        self._keeper = Keeper(self._directory / folder, PICTURE_NAMES, retention or Retention())
        self._given: dict[str, tuple[str, int]] = {}
        self._aside = ImageProcess() if aside else None

    def __enter__(self) -> ImageSink:
        return self

    def __exit__(self, *_: object) -> None:
        """End the process aside, if there is one."""
        if self._aside is not None:
            self._aside.close()

    def names(self, frame: Frame, inspection: Inspection) -> dict[str, str]:
        """Return what the images of a frame are to be called.

        Returns:
            Files by kind, ``picture`` and ``heatmap``, as paths relative to ``directory`` with forward
            slashes; no heatmap for a frame that was not judged, nothing for one that is not kept or
            has no image.
        """
        wanted = self._save == "all" or (self._save == "flagged" and not inspection.verdict.passes)
        if frame.image_rgb is None or not wanted:
            return {}
        stem = self._free_stem(frame, inspection)
        files = {"picture": str(self._folder / f"{stem}.png")}
        if inspection.score_map_hw is not None:
            files["heatmap"] = str(self._folder / f"{stem}-heatmap.jpg")
        return files

    def wants(self, event: Event) -> bool:
        """Whether the event names images."""
        return "picture" in event.files

    def write_frame(self, event: Event, frame: Frame, inspection: Inspection) -> None:
        """Write the images that the event names.

        Raises:
            OutputError: An image could not be written.
        """
        self._write(
            event.files, frame, inspection, write_pictures if self._aside is None else self._aside.write
        )

    def write(self, frame: Frame, inspection: Inspection) -> dict[str, str]:
        """Name a frame's images and write them at once.

        Returns:
            As :meth:`names`.

        Raises:
            OutputError: An image could not be written.
        """
        files = self.names(frame, inspection)
        self._write(files, frame, inspection, write_pictures)
        return files

    def _write(
        self, files: Mapping[str, str], frame: Frame, inspection: Inspection, write: WritePictures
    ) -> None:
        if frame.image_rgb is None or "picture" not in files:
            return
        self._keeper.make_room()
        heatmap = self._directory / files["heatmap"] if "heatmap" in files else None
        write(self._directory / files["picture"], heatmap, frame.image_rgb, inspection)

    def _free_stem(self, frame: Frame, inspection: Inspection) -> str:
        source = plain_name(frame.camera_name)
        stem = f"{moment(frame.captured_at)}-{source}-{frame.index:06d}"
        last, number = self._given.get(source, ("", 0))
        number = number + 1 if stem == last else 1
        self._given[source] = (stem, number)
        return (
            f"{stem}-{inspection.verdict.value}"
            if number == 1
            else f"{stem}-{number}-{inspection.verdict.value}"
        )


def moment(unix_s: float) -> str:
    """Unix time in seconds as it begins a file's name, ``20261122T101530.123456``."""
    return datetime.fromtimestamp(unix_s, timezone.utc).strftime("%Y%m%dT%H%M%S.%f")


def plain_name(name: str) -> str:
    """A camera's name made fit for a file name on any system."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[-40:] or "source"
