"""Parts announced over HTTP: by controllers, not by web pages; and no client holds up the others."""

import http.client
import socket
import time
from collections.abc import Iterator

import pytest

from pcedge.camera import HttpTriggers, MessageTrigger, Secret


@pytest.fixture
def trigger() -> MessageTrigger:
    return MessageTrigger()


@pytest.fixture
def port(trigger: MessageTrigger) -> Iterator[int]:
    with HttpTriggers("127.0.0.1", 0, {"left": trigger}) as server:
        yield server.port


def _fired(trigger: MessageTrigger) -> bool:
    return trigger.fired_before(time.monotonic()) is not None


def _post(port: int, headers: dict[str, str] | None = None, method: str = "POST") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, "/trigger/left", b"{}", headers or {})
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    "host", ["127.0.0.1:9", "localhost", "[::1]:9109", socket.gethostname(), "192.168.3.4"]
)
def test_a_controller_announces_parts(port: int, trigger: MessageTrigger, host: str) -> None:
    assert _post(port, {"Host": host}) == 202
    assert _fired(trigger)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example:9109"}, 421),
        ({"Content-Length": "100000000"}, 413),
        ({"Content-Length": "-1"}, 413),
    ],
)
def test_what_a_web_page_can_send_announces_nothing(
    port: int, trigger: MessageTrigger, headers: dict[str, str], status: int
) -> None:
    assert _post(port, headers) == status
    assert not _fired(trigger)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_only_a_post_announces_a_part(port: int, trigger: MessageTrigger, method: str) -> None:
    assert _post(port, method=method) == 501
    assert not _fired(trigger)


@pytest.mark.parametrize(
    ("sent", "status"),
    [("Bearer hunter2", 202), ("Bearer hunter", 401), ("hunter2", 401), ("Bearer \xfc", 401), (None, 401)],
)
def test_with_a_token_only_who_knows_it_announces_parts(
    trigger: MessageTrigger, sent: str | None, status: int
) -> None:
    with HttpTriggers("127.0.0.1", 0, {"left": trigger}, Secret("hunter2")) as server:
        headers = {} if sent is None else {"Authorization": sent}
        assert _post(server.port, {"Origin": "https://page.of.ours", **headers}) == status

    assert _fired(trigger) == (status == 202)


def test_clients_that_send_nothing_do_not_keep_others_out_for_long(
    port: int, trigger: MessageTrigger
) -> None:
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
    try:
        deadline = time.monotonic() + 60
        while not _fired(trigger):
            assert time.monotonic() < deadline
            try:
                _post(port)
            except OSError:
                time.sleep(0.2)
    finally:
        for one in silent:
            one.close()
