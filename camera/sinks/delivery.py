"""Events handed to the sinks without the inspection ever waiting for one of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any

from ..events.event import Event
from ..frames import Frame, Inspection
from .base import FrameSink, ImageSink
from .remote.sender import Sending
from .settings import AnySink
from .sink_queue import Lane, SinkStatus

_VERDICTS_WAITING = 10_000
_FRAMES_WAITING = 16
# Long enough for an image on a busy machine; the rest has to fit in what systemd allows a service to stop.
_PATIENCE_S, _CLOSE_WITHIN_S = 5.0, 15.0


class Delivery:
    """Hands every event to every sink, each on a thread of its own::

        with Delivery({"events": JsonLines("events.jsonl"), "mqtt": mqtt}) as delivery:
            delivery.put(event, frame, inspection)
            print(delivery.faults())

    :meth:`put` never waits and never raises. A sink that is slow, hangs or fails delays no other and not
    the inspection. What becomes of events that a sink has not taken yet:

    =================  ====================================  ========================================
    ..                 a :class:`Sink` (verdicts)            a :class:`FrameSink` (images, clips)
    =================  ====================================  ========================================
    wait, in memory    10,000                                16
    one fails          tried again after 0.5 s, 1 s, ...     counted as lost; the next one is tried
                       30 s; later ones wait behind it
    no room to wait    counted as lost                       counted as lost
    =================  ====================================  ========================================

    A sink whose attribute ``retries`` is False is never given an event twice: what failed is counted.

    Leaving the block lets the sinks take what waits, for as long as each goes on taking something every
    ``patience_s``, and ``close_within_s`` at most. What is left then is counted as lost, and a thread that
    still hangs is abandoned and reported as such.

    Args:
        sinks: By the names under which faults are reported; not yet opened.
        patience_s: How long leaving the block waits for a sink that takes nothing.
        close_within_s: The longest that leaving the block takes.
    """

    def __init__(
        self,
        sinks: Mapping[str, AnySink],
        *,
        patience_s: float = _PATIENCE_S,
        close_within_s: float = _CLOSE_WITHIN_S,
    ) -> None:
        self._sinks = dict(sinks)
        self._patience_s = patience_s
        self._close_within_s = close_within_s
        self._verdict_lanes: list[Lane[Event]] = []
        self._frame_lanes: list[tuple[FrameSink, Lane[tuple[Event, Frame, Inspection]]]] = []

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
        """What the images of a frame are to be called, for its event; see :meth:`ImageSink.names`."""
        files: dict[str, str] = {}
        for sink in self._sinks.values():
            if isinstance(sink, ImageSink):
                files |= sink.names(frame, inspection)
        return files

    def put(self, event: Event, frame: Frame, inspection: Inspection) -> None:
        """Hand an event over to every sink; returns at once."""
        for lane in self._verdict_lanes:
            lane.put(event)
        for sink, frame_lane in self._frame_lanes:
            if sink.wants(event):
                frame_lane.put((event, frame, inspection))

    def wait_for_others(self, name: str, within_s: float) -> None:
        """Wait until every sink but one has taken what was put so far; not for those that are in trouble."""
        until = time.monotonic() + within_s
        marks = [(lane, lane.mark()) for lane in self._lanes() if lane.name != name]
        for lane, mark in marks:
            lane.wait_until_taken(mark, until - time.monotonic())

    def wait_for_room(self, within_s: float) -> None:
        """Wait until every sink has room for another event, but not for one in trouble, nor too long."""
        until = time.monotonic() + within_s
        for lane in self._lanes():
            lane.wait_for_room(until - time.monotonic())

    def faults(self) -> tuple[SinkStatus, ...]:
        """Status of every sink, in the order given; also after closing."""
        reports = [lane.report() for lane in self._lanes()]
        order = {name: number for number, name in enumerate(self._sinks)}
        return tuple(sorted((self._with_backlog(one) for one in reports), key=lambda one: order[one.name]))

    def flush(self, within_s: float) -> bool:
        """Wait until every sink has taken what was put before; False if that took too long."""
        until = time.monotonic() + within_s
        return all(lane.wait_empty(until - time.monotonic()) for lane in self._lanes())

    def close(self) -> None:
        """End as leaving the block does; once is enough."""
        until = time.monotonic() + self._close_within_s
        lanes = self._lanes()
        for lane in lanes:
            lane.stop(self._patience_s, until)
        for lane in lanes:
            lane.join()

    def _open(self, name: str, sink: AnySink) -> None:
        sink.__enter__()
        if isinstance(sink, FrameSink):
            frames: Lane[tuple[Event, Frame, Inspection]] = Lane(
                name,
                lambda item: sink.write_frame(*item),
                sink.__exit__,
                _FRAMES_WAITING,
                retries=False,
                gives_way=True,  # drawing and encoding take longer than judging, and nobody waits for them
            )
            self._frame_lanes.append((sink, frames))
        else:
            retries = getattr(sink, "retries", True)
            self._verdict_lanes.append(
                Lane(name, sink.write, sink.__exit__, _VERDICTS_WAITING, retries=retries)
            )

    def _lanes(self) -> list[Lane[Any]]:
        return [*self._verdict_lanes, *(lane for _, lane in self._frame_lanes)]

    def _with_backlog(self, report: SinkStatus) -> SinkStatus:
        """Add what a sink that sends has on disk and knows of the remote endpoint."""
        sink = self._sinks[report.name]
        if not isinstance(sink, Sending):
            return report
        far = sink.backlog()
        return replace(
            report,
            waiting=report.waiting + far.waiting,
            failures=report.failures + far.failures,
            lost=report.lost + far.refused,
            last_fault=report.last_fault or far.last_fault,
            faulty=report.faulty or far.faulty,
        )
