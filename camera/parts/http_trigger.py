"""HTTP trigger: another machine announces parts by POST requests."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from pcedge.errors import OutputError

from ..util.supervisor import Supervised
from .triggers import Listening, MessageTrigger, TriggerKind, TriggerTable

_PATH = "/trigger/"
_END_S = 1.0


class HttpTriggers:
    """HTTP server that fires the trigger of a camera on ``POST /trigger/CAMERA``; a context manager.

    It answers 202 if the part is announced, and 404 for a camera without an HTTP trigger.

    Args:
        host: Address to listen on; with another than 127.0.0.1, other machines can announce parts.
        port: Port to listen on; 0 for a free one, see :attr:`port`.
        triggers: Triggers by camera name.
    """

    def __init__(self, host: str, port: int, triggers: Mapping[str, MessageTrigger]) -> None:
        self._address = (host, port)
        self._triggers = dict(triggers)
        self._server: ThreadingHTTPServer | None = None
        self._thread: Supervised | None = None

    @property
    def port(self) -> int:
        """The port that it listens on, once it is open."""
        return int(self._server.server_address[1]) if self._server else self._address[1]

    def __enter__(self) -> HttpTriggers:
        """Start listening.

        Raises:
            OutputError: The port is taken.
        """
        triggers = self._triggers

        class BoundTriggerHandler(_TriggerHandler):
            known = triggers

        try:
            self._server = ThreadingHTTPServer(self._address, BoundTriggerHandler)
        except OSError as error:
            host, port = self._address
            raise OutputError(
                f"Triggers: cannot listen on {host}:{port}: {error.strerror}.",
                "Choose another watch.trigger_port.",
            ) from error
        self._server.daemon_threads = True
        self._thread = Supervised("triggers", partial(self._server.serve_forever, 0.1)).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        if self._thread is not None:
            self._thread.end(_END_S)


class _TriggerHandler(BaseHTTPRequestHandler):
    """Request handler; a client that sends nothing for 5 s is disconnected."""

    timeout = 5
    server_version = "pcedge"
    sys_version = ""
    known: Mapping[str, MessageTrigger] = {}

    def do_POST(self) -> None:
        """Announce a part."""
        trigger = self.known.get(self.path.removeprefix(_PATH)) if self.path.startswith(_PATH) else None
        if trigger is not None:
            trigger.fire()
        self.send_response(404 if trigger is None else 202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing, since there is a request for every part."""


def _listen(listening: Listening, triggers: Mapping[str, MessageTrigger]) -> HttpTriggers:
    return HttpTriggers(listening.host, listening.port, triggers)


KIND = TriggerKind("http", TriggerTable, lambda _table: MessageTrigger(), _listen)
