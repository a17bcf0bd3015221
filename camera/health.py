"""A small page for those who look after the inspector: metrics, and whether it lives and is ready."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from pcedge.errors import MissingExtraError, OutputError

from .events import Event
from .lane import Report

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Reading:
    """A number for Prometheus.

    Attributes:
        name: Such as ``pcedge_camera_fps``; of a counter without ``_total``.
        description: What it is, with its unit.
        value: The number now.
        labels: What it belongs to, such as ``{"camera": "cam0"}``; readings of one name have the same keys.
        kind: ``counter`` for what only grows.
    """

    name: str
    description: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    kind: Literal["gauge", "counter"] = "gauge"


@dataclass(frozen=True)
class Health:
    """How the inspector is.

    Attributes:
        alive: False if only a restart can help.
        ready: Whether it judges what comes.
        detail: More, by name; must hold no secret.
    """

    alive: bool
    ready: bool
    detail: Mapping[str, Any] = field(default_factory=dict)


class EventCounts:
    """A sink that counts events by camera and verdict, and keeps each camera's last latency."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frames: dict[tuple[str, str], int] = {}
        self._latency_ms: dict[str, float] = {}

    def __enter__(self) -> EventCounts:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held open."""

    def write(self, event: Event) -> None:
        """Count one event."""
        camera = event.camera or event.source
        with self._lock:
            key = (camera, event.verdict.value)
            self._frames[key] = self._frames.get(key, 0) + 1
            self._latency_ms[camera] = event.latency_ms

    def readings(self) -> list[Reading]:
        """The counts as they are now."""
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


def sink_readings(reports: Iterable[Report]) -> list[Reading]:
    """How it stands with the sinks, for Prometheus."""
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


class HealthServer:
    """``/metrics`` for Prometheus, ``/healthz`` and ``/readyz``, on a thread of its own.

    ``/healthz`` answers 200 while the inspector lives and 503 when only a restart helps, ``/readyz`` 200
    while it judges what comes and 503 otherwise; both with a JSON object.

    Args:
        host: Address to listen on; anything but 127.0.0.1 shows it to the network, without a password.
        port: Its port; 0 for a free one, see :attr:`port`.
        readings: Asked for ``/metrics``, from any thread.
        health: Asked for the other two.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        readings: Callable[[], Iterable[Reading]],
        health: Callable[[], Health],
    ) -> None:
        self._address = (host, port)
        self._readings = readings
        self._health = health
        self._server: ThreadingHTTPServer | None = None

    @property
    def port(self) -> int:
        """The port it listens on, once it is open."""
        return int(self._server.server_address[1]) if self._server else self._address[1]

    def __enter__(self) -> HealthServer:
        """Start listening.

        Raises:
            MissingExtraError: prometheus-client is not installed.
            OutputError: The port is taken.
        """
        _require_prometheus()
        page = self._page

        class Handler(_Handler):
            answer = staticmethod(page)

        try:
            self._server = ThreadingHTTPServer(self._address, Handler)
        except OSError as error:
            host, port = self._address
            raise OutputError(
                f"metrics: cannot listen on {host}:{port}: {error.strerror}.", "Choose another port."
            ) from error
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="metrics", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _page(self, path: str) -> tuple[int, str, bytes]:
        if path == "/metrics":
            return 200, _TEXT, prometheus_text(self._readings())
        if path in {"/healthz", "/readyz"}:
            health = self._health()
            good = health.alive and (health.ready or path == "/healthz")
            body = {"alive": health.alive, "ready": health.ready, **health.detail}
            return 200 if good else 503, "application/json", json.dumps(body).encode() + b"\n"
        return 404, "text/plain", b"There are /metrics, /healthz and /readyz.\n"


class _Handler(BaseHTTPRequestHandler):
    """Answers GET; a client that says nothing for 5 s is let go."""

    timeout = 5
    server_version = "pcedge"
    sys_version = ""

    @staticmethod
    def answer(path: str) -> tuple[int, str, bytes]:
        """Status, type and body of a page."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """Answer one request."""
        try:
            status, kind, body = self.answer(self.path.partition("?")[0])
        except Exception as error:  # a page must say so, and not end the server
            status, kind, body = 500, "text/plain", f"{type(error).__name__}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody needs a line for every look."""


def prometheus_text(readings: Iterable[Reading]) -> bytes:
    """Readings in Prometheus' text format.

    Raises:
        MissingExtraError: prometheus-client is not installed.
    """
    _require_prometheus()
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


def _require_prometheus() -> None:
    try:
        import prometheus_client  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("prometheus-client", "line", "The metrics page") from error
