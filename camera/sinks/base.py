"""Protocols of the sinks, and the sink that saves images and heatmaps in a folder."""

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
    """A context manager."""

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
    """A sink: receives every event.

    It is opened by ``with`` before the first event. If ``write`` raises a ``PcedgeError``, the event is
    retried, and later events wait. With an attribute ``retries = False`` there are no retries.
    """

    def write(self, event: Event) -> None:
        """Write one event.

        Raises:
            PcedgeError: It could not be stored or sent.
        """


@runtime_checkable
class FrameSink(Opened, Protocol):
    """A sink that needs the image too, such as a folder of images.

    Frames are large, so only a few wait for it. Those that it cannot write in time are dropped and counted.
    """

    def wants(self, event: Event) -> bool:
        """Whether it uses this event; called often and must be fast."""

    def write_frame(self, event: Event, frame: Frame, inspection: Inspection) -> None:
        """Write one event with its image.

        Raises:
            PcedgeError: It could not be stored.
        """


@runtime_checkable
class Troubled(Protocol):
    """A sink that knows by itself whether it can do its work."""

    def trouble(self) -> str:
        """Return why it cannot now; empty if it can. Called from any thread."""


@runtime_checkable
class Mending(Protocol):
    """A sink that mends something by itself, such as a file that was removed."""

    @property
    def note(self) -> str:
        """What it has mended last; empty for nothing."""

    @property
    def notes(self) -> int:
        """How often it has mended something."""


class ImageSink:
    """Saves images in a folder: the original as PNG and its heatmap as JPEG.

    The heatmap has the size of the image, with explanations below it if there are any.

    File names begin with the time of capture, so they sort by time:
    ``20261122T101530.123456-cam0-000012-NG.png`` and ``...-NG-heatmap.jpg``. No two frames share a name; a
    frame judged again after a restart replaces its own images.

    Either call :meth:`write`, or call :meth:`names` when the event is made, which does not access the disk,
    and :meth:`write_frame` later in another thread.

    Args:
        directory: The directory that the returned paths are relative to.
        save: Which frames to save: ``flagged`` (every verdict but OK), ``all`` or ``none``.
        folder: The folder in ``directory`` for the images, such as ``pictures``; empty for ``directory``
            itself. It is created with the first image.
        retention: When to delete the oldest images; without it all are kept.
        aside: Draw and write in a separate process in :meth:`write_frame`, so that it does not slow down an
            inspection in this one.

    Raises:
        OptionError: ``save`` has another value.
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
            raise OptionError(f"save = '{save}' is not a valid choice.", "Use flagged, all or none.")
        self._directory = Path(directory)
        self._folder = PurePosixPath(folder)
        self._save = save
        self._keeper = Keeper(self._directory / folder, PICTURE_NAMES, retention or Retention())
        self._given: dict[str, tuple[str, int]] = {}
        self._aside = ImageProcess() if aside else None

    def __enter__(self) -> ImageSink:
        return self

    def __exit__(self, *_: object) -> None:
        """End the separate process, if there is one."""
        if self._aside is not None:
            self._aside.close()

    def names(self, frame: Frame, inspection: Inspection) -> dict[str, str]:
        """Return the file names for the images of a frame.

        Returns:
            Files by kind, ``picture`` and ``heatmap``, as paths relative to ``directory`` with forward
            slashes; without a heatmap if the frame was not judged, empty if it is not saved or has no image.
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
        """Whether the event has images to save."""
        return "picture" in event.files

    def write_frame(self, event: Event, frame: Frame, inspection: Inspection) -> None:
        """Write the images named in the event.

        Raises:
            OutputError: An image could not be written.
        """
        self._write(
            event.files, frame, inspection, write_pictures if self._aside is None else self._aside.write
        )

    def write(self, frame: Frame, inspection: Inspection) -> dict[str, str]:
        """Choose the names of the images of a frame and write them.

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
    """Format Unix time in seconds for a file name, ``20261122T101530.123456``."""
    return datetime.fromtimestamp(unix_s, timezone.utc).strftime("%Y%m%dT%H%M%S.%f")


def plain_name(name: str) -> str:
    """Convert the name of a camera to one that is valid in file names on any system."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[-40:] or "source"
