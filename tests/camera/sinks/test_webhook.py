import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from pcedge.camera import Event, Outbox, Posted, Secret, WebhookTransport, record_key
from pcedge.errors import OptionError

Make = Callable[..., Event]
Until = Callable[[Callable[[], object]], None]
TOKEN = "tok-8f3a1c"
PASSWORD = "hunter2-Swordfish"


class FarSide:
    """A real HTTP server that answers with what it is told, and keeps what it got."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.got: list[tuple[dict[str, str], bytes]] = []
        far = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                far.got.append(({**self.headers}, body))
                self.send_response(far.answers.pop(0) if far.answers else 204)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/events"


@contextmanager
def _serving(far: FarSide) -> Iterator[None]:
    thread = threading.Thread(target=far.server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield
    finally:
        far.server.shutdown()
        thread.join()
        far.server.server_close()


def _sink(folder: Path, url: str, **more: Any) -> Posted:
    return Posted(WebhookTransport(url, **more), Outbox(folder / "webhook.sqlite", max_messages=100))


def test_an_event_is_posted_with_its_key_and_the_token(tmp_path: Path, event: Make, until: Until) -> None:
    far = FarSide()
    with _serving(far), _sink(tmp_path, far.url, token=Secret(TOKEN)) as sink:
        sink.write(event(1))
        until(lambda: sink.backlog().waiting == 0)

    ((headers, body),) = far.got
    assert json.loads(body) == json.loads(event(1).to_json())
    assert headers["Idempotency-Key"] == record_key(event(1))
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("answer", [302, 404, 429, 500, 503])
def test_what_is_not_taken_now_is_sent_again_with_the_same_key(
    tmp_path: Path, event: Make, until: Until, answer: int
) -> None:
    far = FarSide()
    far.answers = [answer]
    with _serving(far), _sink(tmp_path, far.url) as sink:
        sink.write(event(1))
        until(lambda: f"answered {answer}" in sink.backlog().last_fault)
        sink.hurry()
        until(lambda: sink.backlog().waiting == 0)

    assert len(far.got) == 2
    assert len({headers["Idempotency-Key"] for headers, _ in far.got}) == 1


def test_an_event_that_is_refused_is_counted_and_lets_the_next_pass(
    tmp_path: Path, event: Make, until: Until
) -> None:
    far = FarSide()
    far.answers = [422, 200]
    with _serving(far), _sink(tmp_path, far.url) as sink:
        sink.write(event(1))
        sink.write(event(2))
        until(lambda: sink.backlog().waiting == 0)
        assert (sink.backlog().refused, "422" in sink.backlog().last_fault) == (1, True)

    assert len(far.got) == 2


def test_nobody_there_and_no_answer_in_time_are_told_apart_and_show_no_secret(
    tmp_path: Path, event: Make, until: Until
) -> None:
    far = FarSide()  # listens, and never answers
    address = far.url.replace("http://", f"http://line:{PASSWORD}@") + f"?token={TOKEN}"
    with _sink(tmp_path, address, timeout_s=0.1) as sink:
        sink.write(event(1))
        until(lambda: "no answer in time" in sink.backlog().last_fault)
        shown = repr(sink.backlog())
        far.server.server_close()
        sink.hurry()
        until(lambda: "no answer in time" not in sink.backlog().last_fault)
        shown += repr(sink.backlog())

    assert PASSWORD not in shown
    assert TOKEN not in shown
    assert "127.0.0.1" in shown


@pytest.mark.parametrize("url", ["", "events.example", "file:///etc/passwd", f"ftp://x?token={TOKEN}"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(OptionError, match="is not an HTTP URL") as caught:
        WebhookTransport(url)
    assert TOKEN not in str(caught.value)


def test_a_certificate_of_an_own_authority_is_taken_where_it_is_named(
    tmp_path: Path, event: Make, until: Until
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "own.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    far = FarSide()
    far.server.socket = context.wrap_socket(far.server.socket, server_side=True)
    far.server.handle_error = lambda *_: None  # type: ignore[method-assign]  # who does not trust it hangs up
    url = far.url.replace("http:", "https:")
    with _serving(far):
        with _sink(tmp_path / "no", url) as sink:
            sink.write(event(1))
            until(lambda: sink.backlog().last_fault)
        assert far.got == []
        with _sink(tmp_path / "yes", url, ca_file=str(tmp_path / "own.pem")) as sink:
            sink.write(event(1))
            until(lambda: sink.backlog().waiting == 0)
    assert len(far.got) == 1


@pytest.mark.parametrize("name", ["none.pem", "empty.pem"])
def test_a_file_of_certificates_that_cannot_be_used_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty.pem").write_text("no certificate")
    with pytest.raises(OptionError, match=rf"ca_file .*{name} cannot be used"):
        WebhookTransport("https://127.0.0.1/", ca_file=str(tmp_path / name))
