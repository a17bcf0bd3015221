"""HTTP trigger: another machine announces parts by POST requests."""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from urllib.parse import urlsplit

from pcedge.errors import OutputError

from ..util.credentials import Secret
from ..util.http_server import BoundedServer, Handler
from ..util.supervisor import Supervised
from .triggers import Listening, MessageTrigger, TriggerKind, TriggerTable

_PATH = "/trigger/"
_END_S = 1.0
_LARGEST_BODY = 64 * 1024


class HttpTriggers:
    """HTTP server that fires the trigger of a camera on ``POST /trigger/CAMERA``; a context manager.

    It answers 202 if the part is announced, 404 for a camera without an HTTP trigger, 401 without the token
    where there is one, 403 to a web page (which a browser on this network may have open: it sends an Origin),
    and 421 to another name than this machine's, by which a web page could reach it too (DNS rebinding).

    Args:
        host: Address to listen on; with another than 127.0.0.1, other machines can announce parts.
        port: Port to listen on; 0 for a free one, see :attr:`port`.
        triggers: Triggers by camera name.
        token: Every request must bring it: ``Authorization: Bearer TOKEN``. None for no token.
    """

    def __init__(
        self,
        host: str,
        port: int,
        triggers: Mapping[str, MessageTrigger],
        token: Secret | None = None,
    ) -> None:
        self._address = (host, port)
        self._triggers = dict(triggers)
        self._token = token
        self._server: BoundedServer | None = None
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
        triggers, secret, own = self._triggers, self._token, _own_names(self._address[0])

        class BoundTriggerHandler(_TriggerHandler):
            known, token, names = triggers, secret, own

        try:
            self._server = BoundedServer(*self._address, BoundTriggerHandler)
        except OSError as error:
            host, port = self._address
            raise OutputError(
                f"Triggers: cannot listen on {host}:{port}: {error.strerror}.",
                "Choose another watch.trigger_port.",
            ) from error
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


class _TriggerHandler(Handler):
    """Handler of POST requests."""

    known: Mapping[str, MessageTrigger] = {}
    token: Secret | None = None
    names: frozenset[str] = frozenset()

    def do_POST(self) -> None:
        """Announce a part."""
        status, text = self._refusal() or self._announce()
        self.reply(status, text.encode())

    def _announce(self) -> tuple[int, str]:
        trigger = self.known.get(self.path.removeprefix(_PATH)) if self.path.startswith(_PATH) else None
        if trigger is None:
            return 404, "There is no camera of this name with an HTTP trigger.\n"
        trigger.fire()
        return 202, ""

    def _refusal(self) -> tuple[int, str] | None:
        if self.token is not None:
            sent, due = _bytes(self.headers["Authorization"]), _bytes(f"Bearer {self.token.value}")
            if not hmac.compare_digest(sent, due):
                return 401, "The token is missing or wrong: Authorization: Bearer TOKEN\n"
        elif "Origin" in self.headers or "Sec-Fetch-Site" in self.headers:
            return 403, "A web page must not announce parts; set trigger_token_env.\n"
        elif not self._is_for_this_machine():
            return 421, "Use the address or the name of this machine, or set trigger_token_env.\n"
        return self._read_body()

    def _read_body(self) -> tuple[int, str] | None:
        """Take the body in: some clients do not read an answer before they have sent it."""
        length = self.headers["Content-Length"] or "0"
        if not length.isascii() or not length.isdigit() or int(length) > _LARGEST_BODY:
            return 413, f"At most {_LARGEST_BODY} bytes.\n"
        self.rfile.read(int(length))
        return None

    def _is_for_this_machine(self) -> bool:
        host = urlsplit(f"//{self.headers['Host'] or 'localhost'}").hostname or ""
        try:
            ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return host.lower() in self.names
        return True


def _own_names(host: str) -> frozenset[str]:
    """The names by which clients may call this machine, besides its addresses."""
    name = socket.gethostname().lower()
    return frozenset({"localhost", host.lower(), name, f"{name.partition('.')[0]}.local"})


def _bytes(header: str | None) -> bytes:
    return (header or "").encode("utf-8", "surrogateescape")


def _listen(listening: Listening, triggers: Mapping[str, MessageTrigger]) -> HttpTriggers:
    return HttpTriggers(listening.host, listening.port, triggers, listening.token)


KIND = TriggerKind("http", TriggerTable, lambda _table: MessageTrigger(), _listen)
