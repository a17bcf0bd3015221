"""Notifications for systemd: ready, watchdog, status, stopping."""

import os
import socket
import time
from collections.abc import Mapping

_NEVER = float("inf")


class SystemdNotifier:
    """Sends systemd's notification protocol, sd_notify(3); does nothing without a socket.

    Nothing here blocks or raises: a message that cannot be sent is dropped, and a watchdog without messages
    restarts the service.

    Args:
        address: Path of a datagram socket, or its abstract name after ``@``; empty for none.
        watchdog_s: Systemd's watchdog interval in seconds; None for no watchdog.
    """

    def __init__(self, address: str = "", watchdog_s: float | None = None) -> None:
        # Linux marks an abstract name by a leading zero byte.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None
        if self._socket is not None:
            self._socket.setblocking(False)
        self._every_s = watchdog_s / 3 if watchdog_s else _NEVER
        self._next_alive = 0.0 if watchdog_s else _NEVER
        self._status = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "SystemdNotifier":
        """Create from the environment that systemd sets with ``Type=notify`` and ``WatchdogSec=``."""
        microseconds = environment.get("WATCHDOG_USEC", "")
        ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        watchdog_s = int(microseconds) / 1e6 if microseconds.isdecimal() and ours else None
        return cls(environment.get("NOTIFY_SOCKET", ""), watchdog_s or None)

    @property
    def listened_to(self) -> bool:
        """Whether there is a socket to send to."""
        return self._socket is not None

    def __enter__(self) -> "SystemdNotifier":
        return self

    def __exit__(self, *_: object) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ready(self) -> None:
        """Send ready: the first frame may come."""
        self._send("READY=1")

    def alive(self) -> None:
        """Send the watchdog message if one is due; call it as often as you like."""
        now = time.monotonic()
        if now >= self._next_alive:
            self._next_alive = now + self._every_s
            self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Set the line that ``systemctl status`` shows, without secrets; sent only when it changes."""
        line = " ".join(text.split())
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def stopping(self) -> None:
        """Send stopping: the inspection ends on request."""
        self._send("STOPPING=1")

    def _send(self, news: str) -> None:
        if self._socket is not None:
            try:
                self._socket.sendto(news.encode(), self._address)
            except OSError:
                return  # no listener
