"""The live terminal view of a watch, and the summary at its end."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pcedge.camera import Event, Frame, Inspection, Summary, Tally, Verdict

from .console import Facts, out

_COLOURS = {
    Verdict.OK: "green",
    Verdict.REVIEW: "yellow",
    Verdict.NG: "bold red",
    Verdict.INVALID: "magenta",
}
_RECENT = 8


@contextmanager
def live_view(tally: Tally, *, shown: bool) -> Iterator[Callable[[Event, Frame, Inspection], None]]:
    """Show running numbers and the latest events; yields what to call for every event."""
    recent: deque[Event] = deque(maxlen=_RECENT)

    def render() -> Group:
        return Group(summary_table(tally.summary(), "Watching"), _recent_table(recent))

    def show(event: Event, _frame: Frame, _inspection: Inspection) -> None:
        recent.append(event)

    if not shown:
        yield show
        return
    with Live(
        console=out,
        get_renderable=render,
        refresh_per_second=4,
        transient=True,
        vertical_overflow="crop",
    ):
        yield show


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


def _recent_table(recent: deque[Event]) -> Table:
    table = Table(box=None, padding=(0, 2), show_header=False)
    for event in reversed(list(recent)):
        score = "" if event.score is None else f"{event.score:.4g}"
        verdict = Text(event.verdict.value, style=_COLOURS[event.verdict])
        table.add_row(event.time[11:19], verdict, score, Text(event.name), Text(event.reason))
    return table
