"""A small HTTP server that no client can hold up: few connections at once, each for a short time."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_MOST_CONNECTIONS = 16
_LONGEST_S = 10.0


class BoundedServer(ThreadingHTTPServer):
    """Answers each request in a thread of its own; at most 16 connections, each for 10 s at most.

    Args:
        host: Address to listen on, of IPv4 or IPv6.
        port: Port to listen on; 0 for a free one.
        handler: Answers a request.
    """

    daemon_threads = True

    def __init__(self, host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        self._free = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection, or close it where there are too many."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection; one that takes too long, byte by byte perhaps, is cut off."""
        limit = threading.Timer(_LONGEST_S, _cut_off, (request,))
        limit.daemon = True
        limit.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            limit.cancel()
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Do nothing: a client that goes away in the middle is no trouble of ours."""


class Handler(BaseHTTPRequestHandler):
    """A handler without a log; a client that sends nothing for 5 s is disconnected."""

    timeout = 5
    server_version = "pcedge"
    sys_version = ""

    def reply(self, status: int, body: bytes = b"", kind: str = "text/plain", **headers: str) -> None:
        """Send an answer; of HEAD without the body."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing: there is a request for every part, and at every poll."""


def _cut_off(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has ended by itself
