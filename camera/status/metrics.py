"""Prometheus metrics of events and sinks, and their text format."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pcedge.errors import MissingExtraError

from ..events.event import Event
from ..sinks.sink_queue import SinkStatus


@dataclass(frozen=True)
class Reading:
    """A sample of a Prometheus metric.

    Attributes:
        name: Such as ``pcedge_camera_fps``; for a counter without ``_total``.
        description: Help text with the unit.
        value: Current value.
        labels: Labels such as ``{"camera": "cam0"}``; samples with the same name have the same keys.
        kind: ``counter`` for values that only increase.
    """

    name: str
    description: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    kind: Literal["gauge", "counter"] = "gauge"


class EventCounts:
    """A sink that counts events by camera and verdict, and stores the last latency of each camera."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frames: dict[tuple[str, str], int] = {}
        self._latency_ms: dict[str, float] = {}

    def __enter__(self) -> EventCounts:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing, since no resource is open."""

    def write(self, event: Event) -> None:
        """Count one event."""
        camera = event.camera or event.source
        with self._lock:
            key = (camera, event.verdict.value)
            self._frames[key] = self._frames.get(key, 0) + 1
            self._latency_ms[camera] = event.latency_ms

    def readings(self) -> list[Reading]:
        """Return the current counts and latencies."""
        with self._lock:
            frames, latencies = dict(self._frames), dict(self._latency_ms)
        return [
            Reading("pcedge_frames", "Frames with a verdict.", count, {"camera": c, "verdict": v}, "counter")
            for (c, v), count in frames.items()
        ] + [
            Reading(
                "pcedge_latency_seconds",
                "From capture to verdict, of the last frame.",
                ms / 1e3,
                {"camera": c},
            )
            for c, ms in latencies.items()
        ]


def sink_readings(reports: Iterable[SinkStatus]) -> list[Reading]:
    """Return the status of the sinks as Prometheus metrics."""
    found: list[Reading] = []
    for one in reports:
        labels = {"sink": one.name}
        found += [
            Reading("pcedge_sink_written", "Events that the sink has taken.", one.written, labels, "counter"),
            Reading("pcedge_sink_failures", "Attempts that failed.", one.failures, labels, "counter"),
            Reading("pcedge_sink_lost", "Events that the sink will never get.", one.lost, labels, "counter"),
            Reading("pcedge_sink_waiting", "Events that wait for the sink.", one.waiting, labels),
            Reading("pcedge_sink_faulty", "1 if the sink is in trouble now.", one.faulty, labels),
        ]
    return found


def prometheus_text(readings: Iterable[Reading]) -> bytes:
    """Format readings in the Prometheus text format.

    Raises:
        MissingExtraError: prometheus-client is not installed.
    """
    require_prometheus()
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    from prometheus_client.registry import Collector

    families: dict[str, Any] = {}
    for one in readings:
        if one.name not in families:
            kind = CounterMetricFamily if one.kind == "counter" else GaugeMetricFamily
            families[one.name] = kind(one.name, one.description, labels=list(one.labels))
        families[one.name].add_metric(list(one.labels.values()), one.value)

    class _Now(Collector):
        def collect(self) -> Iterable[Any]:
            return families.values()

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Now())
    return generate_latest(registry)


def require_prometheus() -> None:
    """Check that prometheus-client is installed.

    Raises:
        MissingExtraError: prometheus-client is not installed.
    """
    try:
        import prometheus_client  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("prometheus-client", "line", "The metrics page") from error
