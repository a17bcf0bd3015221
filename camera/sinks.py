"""Where verdicts go: a file of events, and pictures of what was found."""

from __future__ import annotations

import os
import re
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, Literal, Protocol

from pcedge.errors import OptionError, OutputError

from .events import Event
from .frames import Frame, Inspection
from .images import write_image
from .overlay import draw_findings

Save = Literal["flagged", "all", "none"]


class Sink(Protocol):
    """Something that is told every event.

    Opened by ``with`` before the first event. A ``write`` that raises a ``PcedgeError`` is counted
    and inspection goes on; ``write`` is then called again for the next event.
    """

    def __enter__(self) -> Sink:
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

    def write(self, event: Event) -> None:
        """Take one event.

        Raises:
            PcedgeError: It could not be stored or sent.
        """


class JsonLines:
    """A text file with one JSON object a line, appended to and flushed event by event.

    Args:
        path: The file; it and its folder are made if they are missing.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._file: IO[bytes] | None = None
        self._torn = False

    def __enter__(self) -> JsonLines:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered, so that a line which met a full disk is not tried again with later ones.
            self._file = self._path.open("ab", buffering=0)
            self._torn = _ends_within_a_line(self._path)
        except OSError as error:
            raise self._failed(error) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def write(self, event: Event) -> None:
        """Append one line.

        Raises:
            OutputError: It could not be written, or not all of it.
        """
        if self._file is None:
            raise OutputError(f"{self._path}: is not open.", "Use it in a with block.")
        # What is left of a line cut off by a full disk or a power cut must not spoil this one.
        line = (b"\n" if self._torn else b"") + event.to_json().encode() + b"\n"
        try:
            written = self._file.write(line)
        except OSError as error:
            raise self._failed(error) from error
        self._torn = written != len(line)
        if self._torn:
            raise OutputError(f"{self._path}: the disk is full.", "Make room on it.")

    def _failed(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self._path}: cannot be written: {error.strerror}.",
            "Check that it may be written to and that the disk has room.",
        )


class Pictures:
    """A folder that keeps pictures: the original as PNG and its heatmap, of the same size, as JPEG.

    Names begin with the time of capture, so they sort by it; no file is ever overwritten:
    ``20261122T101530.123456-cam0-000012-NG.png`` and ``...-NG-heatmap.jpg``.

    Args:
        directory: What the names given out are relative to.
        save: Of which frames: ``flagged`` (every verdict but OK), ``all`` or ``none``.
        folder: The folder in ``directory`` that the pictures go to, such as ``pictures``; empty for
            ``directory`` itself. Made with the first picture if it is missing.

    Raises:
        OptionError: ``save`` is none of these.
    """

    def __init__(self, directory: str | Path, save: Save = "flagged", *, folder: str = "") -> None:
        if save not in {"flagged", "all", "none"}:
            raise OptionError(f"Cannot save '{save}' pictures.", "Use flagged, all or none.")
        self._directory = Path(directory)
        self._folder = PurePosixPath(folder)
        self._save = save

    def write(self, frame: Frame, inspection: Inspection) -> dict[str, str]:
        """Keep a frame's pictures if they are to be kept.

        Returns:
            Files by kind, ``picture`` and ``heatmap``, as paths relative to ``directory`` with forward
            slashes; no heatmap for a frame that was not judged, nothing for one that is not kept or
            has no picture.

        Raises:
            OutputError: A picture could not be written.
        """
        wanted = self._save == "all" or (self._save == "flagged" and not inspection.verdict.passes)
        if frame.image_rgb is None or not wanted:
            return {}
        stem = self._free_stem(frame, inspection)
        files = {"picture": str(self._folder / f"{stem}.png")}
        write_image(self._directory / files["picture"], frame.image_rgb)
        if inspection.score_map_hw is not None:
            files["heatmap"] = str(self._folder / f"{stem}-heatmap.jpg")
            drawn = draw_findings(frame.image_rgb, inspection)
            write_image(self._directory / files["heatmap"], drawn)
        return files

    def _free_stem(self, frame: Frame, inspection: Inspection) -> str:
        folder = self._directory / self._folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{folder}: cannot be made: {error.strerror}.",
                "Name a folder that may be written to.",
            ) from error
        stem = f"{_moment(frame)}-{_plain(frame.source)}-{frame.index:06d}"
        free, number = f"{stem}-{inspection.verdict.value}", 1
        while (folder / f"{free}.png").exists():
            number += 1
            free = f"{stem}-{number}-{inspection.verdict.value}"
        return free


def _ends_within_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        return file.read(1) not in {b"", b"\n"}


def _moment(frame: Frame) -> str:
    return datetime.fromtimestamp(frame.captured_at, timezone.utc).strftime("%Y%m%dT%H%M%S.%f")


def _plain(name: str) -> str:
    """A source's name made fit for a file name on any system."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[-40:] or "source"
