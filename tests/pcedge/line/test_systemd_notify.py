import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pcedge.line.systemd_notify import SystemdNotifier


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """Where systemd would listen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(2)
        yield listening


def _environment(listening: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": listening.getsockname(), **more}


def test_systemd_hears_what_goes_on(systemd: socket.socket) -> None:
    with SystemdNotifier.from_environment(_environment(systemd)) as notifier:
        notifier.ready()
        notifier.status("12 frames,\n2 NG")
        notifier.status("12 frames, 2 NG")
        notifier.alive()  # no watchdog was asked for
        notifier.stopping()

    heard = [systemd.recv(1000) for _ in range(3)]
    assert heard == [b"READY=1", b"STATUS=12 frames, 2 NG", b"STOPPING=1"]


def test_the_watchdog_hears_in_time_and_not_for_every_frame(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SystemdNotifier.from_environment(_environment(systemd, WATCHDOG_USEC="300000")) as notifier:
        for now in range(550):
            monkeypatch.setattr(
                "pcedge.line.systemd_notify.time.monotonic", lambda now=now: 1000 + now / 1000
            )
            notifier.alive()

    systemd.setblocking(False)
    heard = list(_all_that_waits(systemd))
    assert set(heard) == {b"WATCHDOG=1"}
    assert 3 <= len(heard) <= 6


def _all_that_waits(listening: socket.socket) -> Iterator[bytes]:
    with suppress(BlockingIOError):
        while True:
            yield listening.recv(1000)


@pytest.mark.parametrize("more", [{"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_PID": "1"}])
def test_a_watchdog_of_somebody_else_hears_nothing(systemd: socket.socket, more: dict[str, str]) -> None:
    with SystemdNotifier.from_environment(
        _environment(systemd, **{"WATCHDOG_USEC": "1000", **more})
    ) as notifier:
        notifier.alive()
        notifier.ready()

    assert systemd.recv(1000) == b"READY=1"


def test_abstract_names_are_understood() -> None:
    name = f"pcedge-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name}")
        listening.settimeout(2)
        with SystemdNotifier(f"@{name}") as notifier:
            notifier.ready()
        assert listening.recv(100) == b"READY=1"


def test_where_nobody_listens_nothing_happens(tmp_path: Path, systemd: socket.socket) -> None:
    for notifier in (
        SystemdNotifier(),
        SystemdNotifier(str(tmp_path / "gone")),
        SystemdNotifier.from_environment({}),
    ):
        with notifier:
            notifier.ready()
            notifier.status("x")
            notifier.alive()

    with SystemdNotifier(systemd.getsockname(), 0.001) as notifier:
        for number in range(2000):  # more than the socket holds: waiting would be for ever
            notifier.status(f"{number}")
