"""HTTP server for Prometheus metrics, liveness and readiness."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pcedge.errors import OutputError

from ..util.http_server import BoundedServer, Handler
from ..util.supervisor import Supervised
from .metrics import Reading, prometheus_text, require_prometheus

_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_END_S = 1.0


@dataclass(frozen=True)
class Health:
    """Health of the inspector.

    Attributes:
        alive: Liveness: False if only a restart can help.
        ready: Readiness: whether it is able to judge frames.
        detail: Further values by name; must not contain secrets.
    """

    alive: bool
    ready: bool
    detail: Mapping[str, Any] = field(default_factory=dict)


class HealthServer:
    """Serves ``/metrics`` for Prometheus, ``/healthz`` and ``/readyz`` on its own thread.

    ``/healthz`` answers 200 while the inspector is alive and 503 if only a restart helps. ``/readyz`` answers
    200 while it is ready and 503 otherwise. Both return a JSON object.

    Args:
        host: Address to listen on; with another than 127.0.0.1 the page is visible to the network without a
            password.
        port: Port to listen on; 0 for a free one, see :attr:`port`.
        readings: Called for ``/metrics``, from any thread.
        health: Called for ``/healthz`` and ``/readyz``, from any thread.
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
        self._server: BoundedServer | None = None
        self._thread: Supervised | None = None

    @property
    def port(self) -> int:
        """The port that it listens on, once it is open."""
        return int(self._server.server_address[1]) if self._server else self._address[1]

    def __enter__(self) -> HealthServer:
        """Start listening.

        Raises:
            MissingExtraError: prometheus-client is not installed.
            OutputError: The port is taken.
        """
        require_prometheus()
        page = self._page

        class BoundHealthHandler(_HealthHandler):
            answer = staticmethod(page)

        try:
            self._server = BoundedServer(*self._address, BoundHealthHandler)
        except OSError as error:
            host, port = self._address
            raise OutputError(
                f"metrics: cannot listen on {host}:{port}: {error.strerror}.", "Choose another port."
            ) from error
        self._thread = Supervised("metrics", partial(self._server.serve_forever, 0.1)).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        if self._thread is not None:
            self._thread.end(_END_S)

    def _page(self, path: str) -> tuple[int, str, bytes]:
        if path == "/metrics":
            return 200, _TEXT, prometheus_text(self._readings())
        if path in {"/healthz", "/readyz"}:
            health = self._health()
            good = health.alive and (health.ready or path == "/healthz")
            body = {"alive": health.alive, "ready": health.ready, **health.detail}
            return 200 if good else 503, "application/json", json.dumps(body).encode() + b"\n"
        return 404, "text/plain", b"There are /metrics, /healthz and /readyz.\n"


class _HealthHandler(Handler):
    """Handler of GET and HEAD requests."""

    @staticmethod
    def answer(path: str) -> tuple[int, str, bytes]:
        """Status, type and body of a page."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """Answer one request."""
        try:
            status, kind, body = self.answer(self.path.partition("?")[0])
        except Exception as error:  # reported in the answer, so that the server keeps running
            status, kind, body = 500, "text/plain", f"{type(error).__name__}\n".encode()
        self.reply(status, body, kind)

    do_HEAD = do_GET
