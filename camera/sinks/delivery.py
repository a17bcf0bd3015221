"""Delivery of events to the sinks, each on its own thread, without blocking the inspection."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any

from ..events.event import Event
from ..frames import Frame, Inspection
from .base import FrameSink, ImageSink, Mending, Troubled
from .remote.sender import Sending
from .settings import AnySink
from .sink_queue import Lane, SinkStatus

_VERDICTS_WAITING = 10_000
_FRAMES_WAITING = 16
# Long enough for an image on a busy machine, and short enough for the stop time-out of a systemd service.
_PATIENCE_S, _CLOSE_WITHIN_S = 5.0, 15.0


class Delivery:
    """Delivers every event to every sink, each on its own thread::

        with Delivery({"events": JsonLines("events.jsonl"), "mqtt": mqtt}) as delivery:
            delivery.put(event, frame, inspection)
            print(delivery.faults())

    :meth:`put` never blocks and never raises. A sink that is slow, hangs or fails does not delay the other
    sinks or the inspection. Events that a sink has not written yet:

    =================  ====================================  ========================================
    ..                 a :class:`Sink` (verdicts)            a :class:`FrameSink` (images, clips)
    =================  ====================================  ========================================
    queue in memory    10,000                                16
    a write fails      retried after 0.5 s, 1 s, ... 30 s;   counted as lost; no retry
                       later events wait
    queue is full      counted as lost                       counted as lost
    =================  ====================================  ========================================

    For a sink whose attribute ``retries`` is False there are no retries: a failed event is counted as lost.
    A sink that is busy with one event for more than 2 s is in trouble until it returns.

    Leaving the block lets the sinks write the queued events, as long as each writes at least one per
    ``patience_s``, and for at most ``close_within_s``. The rest is counted as lost, and a thread that still
    hangs is abandoned and reported as such.

    Args:
        sinks: Sinks by the names used in status reports; not yet opened.
        patience_s: How long leaving the block waits for a sink that writes nothing.
        close_within_s: The maximum time that leaving the block takes.
        beside: Returns the status of sinks that get no events, such as a log.
    """

    def __init__(
        self,
        sinks: Mapping[str, AnySink],
        *,
        patience_s: float = _PATIENCE_S,
        close_within_s: float = _CLOSE_WITHIN_S,
        beside: Callable[[], Iterable[SinkStatus]] = tuple,
    ) -> None:
        self._sinks = dict(sinks)
        self._patience_s = patience_s
        self._close_within_s = close_within_s
        self._closing = False
        self._beside = beside
        self._verdict_lanes: list[Lane[Event]] = []
        self._frame_lanes: list[tuple[FrameSink, Lane[tuple[Event, Frame, Inspection]]]] = []

    @property
    def sinks(self) -> frozenset[str]:
        """Names of the sinks that get events."""
        return frozenset(self._sinks)

    def __enter__(self) -> Delivery:
        """Open the sinks.

        Raises:
            PcedgeError: One cannot be opened; those opened before it are closed again.
        """
        try:
            for name, sink in self._sinks.items():
                self._open(name, sink)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def names(self, frame: Frame, inspection: Inspection) -> dict[str, str]:
        """Return the file names for the images of a frame; see :meth:`ImageSink.names`."""
        files: dict[str, str] = {}
        for sink in self._sinks.values():
            if isinstance(sink, ImageSink):
                files |= sink.names(frame, inspection)
        return files

    def put(self, event: Event, frame: Frame, inspection: Inspection) -> None:
        """Queue an event for every sink; returns at once."""
        for lane in self._verdict_lanes:
            lane.put(event)
        for sink, frame_lane in self._frame_lanes:
            if sink.wants(event):
                frame_lane.put((event, frame, inspection))

    def wait_for_others(self, name: str, within_s: float) -> None:
        """Wait until all sinks but one have written what was queued so far; faulty sinks are skipped."""
        until = time.monotonic() + within_s
        marks = [(lane, lane.mark()) for lane in self._lanes() if lane.name != name]
        for lane, mark in marks:
            lane.wait_until_taken(mark, until - time.monotonic())

    def wait_for_room(self, within_s: float) -> None:
        """Wait until every sink has room in its queue; faulty sinks are skipped."""
        until = time.monotonic() + within_s
        for lane in self._lanes():
            lane.wait_for_room(until - time.monotonic())

    def faults(self) -> tuple[SinkStatus, ...]:
        """Status of every sink, in the given order; also after closing."""
        reports = [lane.report() for lane in self._lanes()]
        order = {name: number for number, name in enumerate(self._sinks)}
        own = sorted((self._with_backlog(one) for one in reports), key=lambda one: order[one.name])
        return (*own, *self._beside())

    def flush(self, within_s: float) -> bool:
        """Wait until every sink has written its queue; False if that took too long."""
        until = time.monotonic() + within_s
        return all(lane.wait_empty(until - time.monotonic()) for lane in self._lanes())

    def hurry(self, within_s: float) -> None:
        """Shorten the time that leaving the block takes, also while it is being left."""
        self._patience_s = min(self._patience_s, within_s)
        self._close_within_s = min(self._close_within_s, within_s)
        if self._closing:
            self.close()

    def close(self) -> None:
        """Close, as leaving the block does; further calls have no effect."""
        self._closing = True
        until = time.monotonic() + self._close_within_s
        lanes = self._lanes()
        for lane in lanes:
            lane.stop(self._patience_s, until)
        for lane in lanes:
            lane.join()

    def _open(self, name: str, sink: AnySink) -> None:
        sink.__enter__()
        trouble = sink.trouble if isinstance(sink, Troubled) else str
        if isinstance(sink, FrameSink):
            frames: Lane[tuple[Event, Frame, Inspection]] = Lane(
                name,
                lambda item: sink.write_frame(*item),
                sink.__exit__,
                _FRAMES_WAITING,
                retries=False,
                gives_way=True,  # drawing and encoding take longer than judging, and are not urgent
                trouble=trouble,
            )
            self._frame_lanes.append((sink, frames))
        else:
            retries = getattr(sink, "retries", True)
            lane = Lane(name, sink.write, sink.__exit__, _VERDICTS_WAITING, retries=retries, trouble=trouble)
            self._verdict_lanes.append(lane)

    def _lanes(self) -> list[Lane[Any]]:
        return [*self._verdict_lanes, *(lane for _, lane in self._frame_lanes)]

    def _with_backlog(self, report: SinkStatus) -> SinkStatus:
        """Add the backlog on disk and the faults of the remote endpoint, if the sink has one."""
        sink = self._sinks[report.name]
        if isinstance(sink, Mending):
            report = replace(report, note=sink.note, notes=sink.notes)
        if not isinstance(sink, Sending):
            return report
        backlog = sink.backlog()
        return replace(
            report,
            waiting=report.waiting + backlog.waiting,
            failures=report.failures + backlog.failures,
            lost=report.lost + backlog.refused,
            last_fault=report.last_fault or backlog.last_fault,
            faulty=report.faulty or backlog.faulty,
        )
