"""A running ``pcedge watch``: the line that is watched, and the one that follows when its file changes."""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from json import dumps as encode
from pathlib import Path
from typing import TYPE_CHECKING

from pcedge.camera import Tally, is_writable_by_others
from pcedge.cli.console import say, show_error
from pcedge.errors import PcedgeError
from pcedge.line.open_line import check_line, open_line
from pcedge.line.watch import WatchOptions, watch_line

from .end_signals import EndSignals
from .live_view import live_view
from .outputs import Outputs
from .watched_line import chooser, results_place

if TYPE_CHECKING:
    from pcedge.camera import CameraStatus, Change, Summary
    from pcedge.line.config import LineFile
    from pcedge.line.open_line import Line
    from pcedge.line.runtime_choice import RuntimeOptions
    from pcedge.line.status import Watched

Described = tuple["LineFile", Path]


@dataclass(frozen=True)
class RunOptions:
    """What the command line says of a run.

    Attributes:
        models: Directory of bundles.
        output: Directory for results; None for the default.
        runtime: Returns the runtime that is asked for, given the line's file.
        follow: Whether to wait for more images in watched folders.
        again: Whether to judge files again.
        index: Index to search banks with.
        max_frames: Stop after so many frames.
        max_seconds: Stop after so many seconds.
    """

    models: Path
    output: Path | None
    runtime: "Callable[[LineFile], RuntimeOptions]"
    follow: bool
    again: bool
    index: str | None
    max_frames: int | None
    max_seconds: float | None


class LineRun:
    """Watches a line, and the next one when SIGHUP has asked to read its file again.

    Args:
        describe: Reads the line, and the directory that its paths are relative to.
        options: What the command line says.
        printed: Where it prints.
        on_open: Called with the opened line.
        on_ready: Called with the opened line once the first frame may come.
    """

    def __init__(
        self,
        describe: Callable[[], Described],
        options: RunOptions,
        printed: Outputs,
        *,
        on_open: "Callable[[Line], None]",
        on_ready: "Callable[[Line], None]",
    ) -> None:
        self._describe = describe
        self._options = options
        self._printed = printed
        self._on_open = on_open
        self._on_ready = on_ready
        self._tally = Tally()
        self._next: Described | None = None
        self._watched: Watched | None = None
        self._seconds = 0.0  # for which lines before this one were watched
        self.place = Path()

    @property
    def left_out(self) -> Mapping[str, Mapping[str, int]]:
        """What the sources did not judge: camera to reason to count; those without are left out."""
        cameras = [] if self._watched is None else self._watched.stream.cameras
        return {one.name: one.left_out for one in cameras if one.left_out}

    def read_again(self) -> None:
        """Read the line's file again, and watch it if it can be used; called from another thread."""
        try:
            line, base = self._describe()
            check_line(line, self._options.models, base=base, index=self._options.index)
        except PcedgeError as error:
            show_error(error)
            say("The line's file cannot be used; the line goes on as it was.")
            return
        if self._watched is not None:
            say("The line's file was read again.")
            self._next = line, base
            self._watched.stream.stop()

    def run(self, signals: EndSignals) -> "Summary":
        """Watch until it ends or is stopped.

        Raises:
            PcedgeError: The line cannot be opened, or has failed permanently.
        """
        now, before = self._describe(), None
        while True:
            self._next, began_s = None, time.monotonic()
            try:
                summary = self._watch(*now, signals)
            except PcedgeError as error:
                if before is None or self._watched is not None:
                    raise
                show_error(error)
                say("The new line cannot be watched; the one before goes on.")
                now, before = before, None
                continue
            if self._next is None or signals.ending:
                return summary
            self._seconds += time.monotonic() - began_s
            now, before = self._next, now

    def _watch(self, line: "LineFile", base: Path, signals: EndSignals) -> "Summary":
        options = self._options
        self.place = options.output or results_place(line, base, options.models)
        if is_writable_by_others(self.place):
            what = "[yellow]Every user of this machine can write into {place}[/] and change results."
            say(f"{what} Close it: chmod o-w {{place}}", place=self.place)
        self._watched = None
        with open_line(
            line,
            self.place,
            models=options.models,
            choose=chooser(options.runtime(line)),
            on_problem=show_error,
            base=base,
            follow=options.follow,
            again=options.again,
            index=options.index,
        ) as opened:
            self._on_open(opened)
            with live_view(self._tally, shown=not self._printed.sinks) as view:

                def ready(watched: "Watched") -> None:
                    self._watched = watched
                    signals.arm(watched)
                    view.watch(watched)
                    self._on_ready(opened)

                machine = bool(self._printed.sinks)
                try:
                    return watch_line(
                        opened,
                        self._watch_options(line),
                        on_ready=ready,
                        on_event=None if machine else view.show,
                        on_state=_print_state if machine else None,
                        on_drift=_print_drift if machine else None,
                        on_change=_print_change if machine else None,
                        tally=self._tally,
                        outputs=self._printed.sinks,
                        beside=self._printed.reports,
                    )
                finally:
                    if not signals.ending:
                        signals.arm(None)

    def _watch_options(self, line: "LineFile") -> WatchOptions:
        so_far = self._tally.summary()
        frames, seconds = self._options.max_frames, self._options.max_seconds
        return WatchOptions(
            self.place,
            max_frames=None if frames is None else max(0, frames - so_far.frames),
            max_seconds=None if seconds is None else max(0.0, seconds - self._seconds),
            sinks=line.sinks,
            metrics=line.metrics,
            batch=line.watch.batch,
            stall_s=line.watch.stall_s,
            open_s=line.watch.open_s,
        )


def _print_state(status: "CameraStatus") -> None:
    """Print a camera's state to standard error, so that it does not mix with events."""
    _print(status.to_dict())


def _print_drift(camera: str, moved: Mapping[str, str]) -> None:
    _print({"camera": camera, "drift": dict(moved)})


def _print_change(change: "Change") -> None:
    _print(change.to_dict())


def _print(fields: Mapping[str, object]) -> None:
    print(encode(fields), file=sys.stderr, flush=True)
