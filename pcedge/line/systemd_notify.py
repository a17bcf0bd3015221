"""News for systemd: ready, alive, stopping, and what is going on."""

import os
import socket
import time
from collections.abc import Mapping

_NEVER = float("inf")


class SystemdNotifier:
    """Speaks systemd's notification protocol, sd_notify(3); where nobody listens it does nothing.

    Nothing here waits or raises: news that does not get through is left out, and a watchdog that hears
    nothing does what it is for.

    Args:
        address: Path of a datagram socket, or its abstract name after ``@``; empty if nobody listens.
        watchdog_s: How soon systemd wants to hear that we are alive; None if it does not.
    """

    def __init__(self, address: str = "", watchdog_s: float | None = None) -> None:
        # A leading zero byte is how Linux writes an abstract name.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None
        if self._socket is not None:
            self._socket.setblocking(False)
        self._every_s = watchdog_s / 3 if watchdog_s else _NEVER
        self._next_alive = 0.0 if watchdog_s else _NEVER
        self._status = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "SystemdNotifier":
        """As systemd tells a service with ``Type=notify`` and ``WatchdogSec=``."""
        microseconds = environment.get("WATCHDOG_USEC", "")
        ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        watchdog_s = int(microseconds) / 1e6 if microseconds.isdecimal() and ours else None
        return cls(environment.get("NOTIFY_SOCKET", ""), watchdog_s or None)

    @property
    def listened_to(self) -> bool:
        """Whether anybody listens, so that it is worth while to find something to say."""
        return self._socket is not None

    def __enter__(self) -> "SystemdNotifier":
        return self

    def __exit__(self, *_: object) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ready(self) -> None:
        """The first frame may come."""
        self._send("READY=1")

    def alive(self) -> None:
        """Say that the inspection goes on; call it as often as you like, it speaks when it is time to."""
        now = time.monotonic()
        if now >= self._next_alive:
            self._next_alive = now + self._every_s
            self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """What ``systemctl status`` shows, in a line without secrets; said only when it changes."""
        line = " ".join(text.split())
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def stopping(self) -> None:
        """The inspection is about to end, as it was asked to."""
        self._send("STOPPING=1")

    def _send(self, news: str) -> None:
        if self._socket is not None:
            try:
                self._socket.sendto(news.encode(), self._address)
            except OSError:
                return  # nobody listens any more, or not now
