"""Mutated messages: what a client sends to our servers, and what a broker sends to our client."""

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

from pcedge.camera import (
    Broker,
    Health,
    HealthServer,
    HttpTriggers,
    MessageTrigger,
    MqttTriggers,
    thread_states,
)

_SERVER = import_module("pcedge.camera.util.http_server").BoundedServer

REQUEST = (
    b"POST /trigger/left HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: 2\r\nConnection: close\r\n\r\n{}"
)
GET = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\nConnection: close\r\n\r\n"
# CONNACK, SUBACK, and a message to the trigger of the camera "left" (MQTT 3.1.1, sections 3.2, 3.9, 3.3).
_TOPIC = b"line/trigger/left"
BROKER = bytes([0x20, 2, 0, 0, 0x90, 3, 0, 1, 1, 0x30, 2 + len(_TOPIC) + 2, 0, len(_TOPIC), *_TOPIC, *b"{}"])
_PATIENCE_S = 10.0


class UnhandledError(Exception):
    """What a thread met and could not handle, or a server that answers no more."""


def write_messages(folder: Path) -> None:
    """Write a sound message of every kind."""
    (folder / "request.http").write_bytes(REQUEST)
    (folder / "get.http").write_bytes(GET)
    (folder / "broker.mqtt").write_bytes(BROKER)


def receive(folder: Path) -> None:
    """Give the messages to the servers and to the client, and see that they go on.

    Raises:
        UnhandledError: One does not.
    """
    with _nothing_unhandled():
        trigger = MessageTrigger()
        with HttpTriggers("127.0.0.1", 0, {"left": trigger}) as triggers:
            _send(triggers.port, (folder / "request.http").read_bytes())
            if b" 202 " not in _send(triggers.port, REQUEST):
                raise UnhandledError("a sound request is not answered any more")
        with HealthServer("127.0.0.1", 0, readings=list, health=lambda: Health(True, True)) as server:
            _send(server.port, (folder / "get.http").read_bytes())
            if b" 200 " not in _send(server.port, GET):
                raise UnhandledError("a sound question is not answered any more")
        _from_broker((folder / "broker.mqtt").read_bytes())


def _send(port: int, content: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), _PATIENCE_S) as connection, suppress(OSError):
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        answer = bytearray()
        while piece := connection.recv(65536):
            answer += piece
        return bytes(answer)
    return b""


def _from_broker(content: bytes) -> None:
    """A broker that says this, and then nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(_PATIENCE_S)
        broker = Broker("127.0.0.1", server.getsockname()[1])
        with MqttTriggers(broker, "line", {"left": MessageTrigger()}):
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.settimeout(_PATIENCE_S)
                connection.recv(65536)
                connection.sendall(content)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass


@contextmanager
def _nothing_unhandled() -> Iterator[None]:
    """Raise afterwards what a thread could not handle."""
    found: list[str] = []
    silent, hook = _SERVER.handle_error, threading.excepthook

    def note_request(server: object, request: object, address: object) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):  # the client went away
            found.append(repr(error))
        silent(server, request, address)

    def note_thread(arguments: threading.ExceptHookArgs) -> None:
        found.append(repr(arguments.exc_value))

    _SERVER.handle_error = note_request
    threading.excepthook = note_thread
    try:
        yield
        faults = [state.last_fault for state in thread_states() if state.faults]
    finally:
        _SERVER.handle_error = silent
        threading.excepthook = hook
    if found or faults:
        raise UnhandledError("; ".join([*found, *faults]))
