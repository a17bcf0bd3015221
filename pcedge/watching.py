"""Watch: an inspector at a camera or a folder, its verdicts written down as they fall."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np

from pcedge.camera import (
    Event,
    Frame,
    FrameGate,
    Inspection,
    JsonLines,
    Pictures,
    Save,
    Source,
    Stream,
    Summary,
    Tally,
    inspect_stream,
)
from pcedge.errors import OptionError
from pcedge.inspector import Inspector

EVENTS_FILE = "events.jsonl"
PICTURES_FOLDER = "pictures"

OnEvent = Callable[[Event, Frame, Inspection], None]
OnReady = Callable[[Stream], None]


@dataclass(frozen=True)
class WatchOptions:
    """What watching can be told.

    Attributes:
        output: Directory for ``events.jsonl`` (appended to) and ``pictures/``; an event's ``files`` are
            relative to it.
        save: Which frames' pictures are kept: ``flagged`` (every verdict but OK), ``all`` or ``none``.
        max_frames: End after so many frames.
        max_seconds: End after so much time.
        frozen_after: A live camera that repeats the same picture so often is INVALID; 0 does not look.
    """

    output: Path
    save: Save = "flagged"
    max_frames: int | None = None
    max_seconds: float | None = None
    frozen_after: int = 25

    def __post_init__(self) -> None:
        if self.max_seconds is not None and not isfinite(self.max_seconds):
            raise OptionError(
                f"{self.max_seconds} seconds is no time.", "Leave --max-seconds out to watch without end."
            )


def watch(
    inspector: Inspector,
    source: Source,
    options: WatchOptions,
    *,
    on_ready: OnReady | None = None,
    on_event: OnEvent | None = None,
    tally: Tally | None = None,
) -> Summary:
    """Judge every frame of a source until it ends, is stopped, or reaches a limit.

    Args:
        inspector: As ``open_inspector`` gives it.
        source: Not yet opened.
        options: Where results go and when to end.
        on_ready: Given the opened stream, whose ``stop`` ends the watch, once the first frame may come.
        on_event: Called for every frame, after its event was written.
        tally: Counts; hand one in to read it while the watch runs.

    Raises:
        PcedgeError: The source cannot be opened or has failed for good.
    """
    _warm_up(inspector)
    with Stream(source) as stream:
        if on_ready is not None:
            on_ready(stream)
        return inspect_stream(
            stream,
            lambda frame: _inspect(inspector, frame),
            sinks=[JsonLines(options.output / EVENTS_FILE)],
            pictures=Pictures(options.output, options.save, folder=PICTURES_FOLDER),
            gate=FrameGate(frozen_after=options.frozen_after if stream.live else 0),
            on_event=on_event,
            tally=tally,
            max_frames=options.max_frames,
            max_seconds=options.max_seconds,
        )


def _inspect(inspector: Inspector, frame: Frame) -> Inspection:
    assert frame.image_rgb is not None  # frames without a picture are INVALID before they come here
    return inspector.inspect(frame.image_rgb)


def _warm_up(inspector: Inspector) -> None:
    """Run once before the first frame: a runtime's first call is slow."""
    size = inspector.preprocessing.input_size
    inspector.inspect(np.zeros((size, size, 3), np.uint8))
