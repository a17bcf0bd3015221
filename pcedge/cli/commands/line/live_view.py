"""The live terminal view of a watch, and the summary at its end."""

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pcedge.camera import (
    CameraState,
    CameraStatus,
    Event,
    Frame,
    Inspection,
    SinkStatus,
    Summary,
    Tally,
    Verdict,
)
from pcedge.cli.console import Facts, out
from pcedge.line.status import Watched

_COLOURS = {
    Verdict.OK: "green",
    Verdict.REVIEW: "yellow",
    Verdict.NG: "bold red",
    Verdict.INVALID: "magenta",
}
_STATES = {
    CameraState.STARTING: "cyan",
    CameraState.RUNNING: "green",
    CameraState.ENDED: "dim",
}
_RECENT = 8


class View:
    """The live view of a watch: counts, cameras, failing sinks, the latest events."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._watched: Watched | None = None
        self._recent: deque[Event] = deque(maxlen=_RECENT)

    def watch(self, watched: Watched) -> None:
        """Also show its cameras and sinks."""
        self._watched = watched

    def show(self, event: Event, _frame: Frame, _inspection: Inspection) -> None:
        """Add an event."""
        self._recent.append(event)

    def render(self) -> Group:
        """Render the current view."""
        summary = self._tally.summary()
        parts = [summary_table(summary, "Watching")]
        if summary.drift:
            parts.append(drift_table(summary.drift))
        if self._watched is not None:
            parts.append(cameras_table(self._watched.stream.cameras))
            troubled = [one for one in self._watched.delivery.faults() if one.faulty or one.lost]
            if troubled:
                parts.append(_sinks_table(troubled))
        return Group(*parts, _recent_table(self._recent))


@contextmanager
def live_view(tally: Tally, *, shown: bool) -> Iterator[View]:
    """Yield a view, shown until the block ends if enabled."""
    view = View(tally)
    if not shown:
        yield view
        return
    with Live(
        console=out,
        get_renderable=view.render,
        refresh_per_second=4,
        transient=True,
        vertical_overflow="crop",
    ):
        yield view


def summary_table(summary: Summary, title: str) -> Table:
    """Counts, rates and latencies."""
    table = Facts(title)
    counts = Text("  ").join(
        Text(f"{verdict.value} {count}", style=_COLOURS[verdict])
        for verdict, count in summary.verdicts.items()
    )
    table.add("verdicts", counts)
    table.add("frames", f"{summary.frames} in {summary.seconds:.1f} s, {summary.fps:.1f} a second")
    table.add("dropped", f"{summary.dropped} (a newer frame was there)")
    if summary.latency_p50_ms is not None and summary.latency_p99_ms is not None:
        table.add("latency", f"p50 {summary.latency_p50_ms:.1f} ms, p99 {summary.latency_p99_ms:.1f} ms")
    return table


def cameras_table(cameras: tuple[CameraStatus, ...]) -> Table:
    """A table of the state and the three rates of every camera."""
    table = Table(box=None, padding=(0, 2), header_style="cyan")
    for heading in ("camera", "state", "camera/s", "processed/s", "dropped/s", "picture", "restarts", ""):
        table.add_column(heading)
    for one in cameras:
        table.add_row(
            Text(one.name),
            Text(one.state.value, style=_STATES.get(one.state, "bold red")),
            f"{one.camera_fps:.1f}",
            f"{one.processed_fps:.1f}",
            f"{one.dropped_fps:.1f}",
            "" if one.size_wh is None else f"{one.size_wh[0]} x {one.size_wh[1]}",
            str(one.restarts),
            Text(one.reason),
        )
    return table


def drift_table(drift: Mapping[str, Mapping[str, str]]) -> Table:
    """A table of what has drifted, by camera."""
    table = Table(box=None, padding=(0, 2), header_style="cyan")
    for heading in ("camera", "drift", ""):
        table.add_column(heading)
    for camera, moved in drift.items():
        for quantity, sentence in moved.items():
            table.add_row(Text(camera), Text(quantity.replace("_", " "), style="yellow"), Text(sentence))
    return table


def _sinks_table(reports: list[SinkStatus]) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="cyan")
    for heading in ("sink in trouble", "waiting", "lost", "last fault"):
        table.add_column(heading)
    for one in reports:
        table.add_row(Text(one.name), str(one.waiting), str(one.lost), Text(one.last_fault))
    return table


def _recent_table(recent: deque[Event]) -> Table:
    table = Table(box=None, padding=(0, 2), show_header=False)
    events = list(recent)
    several = len({event.camera for event in events}) > 1
    for event in reversed(events):
        score = "" if event.score is None else f"{event.score:.4g}"
        p_value = "" if event.p_value is None else f"p {event.p_value:.2g}"
        verdict = Text(event.verdict.value, style=_COLOURS[event.verdict])
        camera = [Text(event.camera)] if several else []
        table.add_row(
            _local(event.time), *camera, verdict, score, p_value, Text(event.name), Text(event.reason)
        )
    return table


def _local(time_utc: str) -> str:
    """The time of an event where the line is, with its offset: ``19:15:30+09:00``."""
    return datetime.fromisoformat(time_utc).astimezone().isoformat(timespec="seconds")[11:]
